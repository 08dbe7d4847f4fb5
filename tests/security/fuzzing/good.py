"""Good requests, one for each row of the matrix of routes: what the fuzzers begin with."""

import json
import urllib.parse
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

from tests.security.test_bola_matrix import CASES, MAKERS, Row, filled
from tests.support.siege import Ask, Headers, Siege

BOUNDARY = "----of-the-parts"


@dataclass(frozen=True)
class Good:
    """A request that is answered, in the parts that may be changed. `path` has a place for an id, `id` stands in it."""

    method: str
    path: str
    id: str
    params: tuple[tuple[str, str], ...]
    headers: Headers
    body: Any
    form: bytes

    def ask(self, **changes: Any) -> Ask:
        """The request, with another id, params, headers, or bytes of a body."""
        content = changes.pop("content", None)
        new = replace(self, **changes)
        return Ask(new.method, new.target(), new.content() if content is None else content, new.headers)

    def target(self, id: bytes | None = None, query: bytes | None = None) -> bytes:
        """The path and the query; given ones are put in as they are."""
        before, brace, after = self.path.partition("{")
        own = urllib.parse.quote(self.id, safe="").encode() if id is None else id
        after = after.partition("}")[2]
        path = before.encode() + (own + after.encode() if brace else b"")
        query = urllib.parse.urlencode(self.params).encode() if query is None else query
        return path + (b"?" + query if query else b"")

    def content(self) -> bytes:
        if self.form:
            return self.form
        return json.dumps(self.body).encode() if self.body is not None else b""


def goods(siege: Siege) -> list[Good]:
    """One for each row; the things that they name are made on the first call."""
    cast: Any = SimpleNamespace(server=siege, owner=siege.key, ring=siege.ring, answers={})
    if not siege.things:
        siege.things.update({name: make(cast) for name, make in MAKERS.items()})
        siege.things["message"] = cast.answers[siege.things["session"]]
    return [_good(siege, verb, path, row) for verb, path, row in CASES]


def _good(siege: Siege, verb: str, path: str, row: Row) -> Good:
    thing = siege.things[row.makes] if row.makes else row.unknown
    for other, known in row.within.items():
        path = path.replace(other, known)
    headers = [(name, text.format(id=thing).encode()) for name, text in row.headers.items()]
    params = tuple((name, text.format(id=thing)) for name, text in row.params.items())
    body = filled(row.body, id=thing, message=siege.things["message"]) if row.body is not None else None
    if row.files:
        headers.append(("content-type", f"multipart/form-data; boundary={BOUNDARY}".encode()))
    elif body is not None:
        headers.append(("content-type", b"application/json"))
    return Good(verb, path, thing, params, tuple(headers), body, _form(row))


def _form(row: Row) -> bytes:
    if not row.files:
        return b""
    parts = [_part(f'name="{name}"', value.encode()) for name, value in row.form.items()]
    parts += [_part(f'name="{name}"; filename="a.txt"', content) for name, content in row.files.items()]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def _part(disposition: str, content: bytes) -> bytes:
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"
