"""T03: no body sets what is the server's.

Each name of a field of any response, and of any column of any table, is added to every object in the body of every
route. Our own bodies refuse it by its name. Those of other protocols ignore what they do not know: then the answer and
all that is stored are as they are without it.
"""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from domain.messages import new_id
from main import create_app
from routers.schemas.base import ResponseModel
from tests.security.bodies.worst import resolved
from tests.security.test_bola_matrix import MAKERS, ROWS, Cast, ask
from tests.support.keys import KeyRing
from tests.support.server import live_server, make_settings, wait_for
from tests.support.tables import TABLES, Row, contents

API = create_app(make_settings(AUTH_MODE="api_key", AUTH_SECRET="x" * 32)).openapi()
AT_ONCE = 40
"""So many names in one body: more are refused for their number."""
VICTIM = "the-victim"
CHOSEN: tuple[Any, ...] = (VICTIM, "c" * 32, 7, True, ["admin"], {"owner": VICTIM})
"""What the fields are set to, in turn."""


def models(base: type[ResponseModel]) -> Iterator[type[ResponseModel]]:
    for model in base.__subclasses__():
        yield model
        yield from models(model)


def names() -> list[str]:
    """What responses and tables call things, and what people try."""
    fields = {name: field for model in models(ResponseModel) for name, field in model.model_fields.items()}
    shown = {*fields, *(field.alias for field in fields.values())}
    columns = {column.name for table in TABLES.values() for column in table.columns}
    tried = {"owner_id", "user_id", "user", "role", "is_admin", "admin", "unlimited", "quota", "tenant", "__proto__"}
    return sorted({name for name in shown | columns | tried if name})


NAMES = names()
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Case:
    """A good body, and an object in it, by its path, with the fields that it may have."""

    verb: str
    path: str
    row: int
    place: Path
    known: frozenset[str]

    def __str__(self) -> str:
        return f"{self.verb} {self.path} {self.row} {'.'.join(map(str, self.place))}"


def objects(schema: dict[str, Any], value: Any, place: Path = ()) -> Iterator[tuple[Path, frozenset[str]]]:
    """Every object in a body, and what its schema calls its fields."""
    alternatives = list(resolved(API, schema))
    if isinstance(value, dict):
        yield place, frozenset(value).union(*(each.get("properties", ()) for each in alternatives))
        for name, inner in value.items():
            for each in alternatives:
                if name in each.get("properties", {}):
                    yield from objects(each["properties"][name], inner, (*place, name))
    elif isinstance(value, list) and value:
        for each in alternatives:
            if isinstance(each.get("items"), dict):
                yield from objects(each["items"], value[0], (*place, 0))


def cases() -> Iterator[Case]:
    for (verb, path), rows in ROWS.items():
        operation = API["paths"].get(re.sub(r":path", "", path), {}).get(verb.lower(), {})
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        for number, row in enumerate(rows):
            if content is not None and row.body is not None:
                found = dict[Path, frozenset[str]]()
                for place, known in objects(content["schema"], row.body):
                    found[place] = found.get(place, frozenset()) | known
                for place, known in found.items():
                    yield Case(verb, path, number, place, known)


CASES = list(cases())


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cast]:
    ring = KeyRing(tmp_path_factory.mktemp("assigned") / "data")
    settings = {"AUTH_MODE": "api_key", "DATA_DIR": ring.folder, "STREAM_DELAY": 0, "DOCUMENTS_QUEUED": 10_000}
    with live_server(make_settings(**settings)) as server:
        victim = ring.make(VICTIM)
        yield Cast(server, victim, victim, victim, ring)


def test_every_body_is_tried() -> None:
    declared = {
        (verb.upper(), path)
        for path, item in API["paths"].items()
        for verb, operation in item.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }
    assert {(case.verb, case.path) for case in CASES} == declared
    assert {"owner", "owner_id", "scopes", "id", "created", "state", "parent", "key_id", "revoked", "digest"} <= set(
        NAMES
    )
    assert {"messages", "parts", "documents"} <= {part for case in CASES for part in case.place}


def test_no_body_has_a_field_for_what_is_the_servers() -> None:
    servers = {
        "owner",
        "owner_id",
        "user_id",
        "created",
        "updated",
        "revoked",
        "parent",
        "key_id",
        "digest",
        "stream_id",
    }
    assert [(str(case), case.known & servers) for case in CASES if case.known & servers] == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_field_sets_what_is_the_servers(cast: Cast, case: Case) -> None:
    new = [name for name in NAMES if name not in case.known]
    plain: Outcome | None = None
    for start in range(0, len(new), AT_ONCE):
        some = new[start : start + AT_ONCE]
        added = {name: CHOSEN[(start + number) % len(CHOSEN)] for number, name in enumerate(some)}
        odd = outcome(cast, case, added)
        if odd.refused:
            prefix = "#" + "".join(f"/{part}" for part in case.place)
            assert odd.refused >= {f"{prefix}/{name}" for name in added}
            assert odd.stored == []
        else:
            plain = plain or outcome(cast, case, {})
            assert odd == plain, (added, odd.stored, plain.stored)


@dataclass(frozen=True)
class Outcome:
    """What came of a request, but for what differs with each: the answer, and the rows that were not there before."""

    status: int
    said: str
    stored: list[str]
    refused: set[str]
    """What in the body was unknown."""


def outcome(cast: Cast, case: Case, added: dict[str, Any]) -> Outcome:
    """Send the good body with these fields added, for an owner that has nothing else."""
    owner = f"owner-{new_id()}"
    own = replace(cast, owner=cast.ring.make(owner), answers={})
    row = ROWS[case.verb, case.path][case.row]
    thing = MAKERS[row.makes](own) if row.makes else row.unknown
    before = rows_of(cast)
    changed = replace(row, body=with_fields(row.body, case.place, added))
    answer = ask(own, case.verb, case.path, changed, key=own.owner, thing=thing)
    refused = answer.json()["errors"] if answer.status_code == 422 else []
    stored = [row for row in rows_of(cast) if row not in before] + usage_of(cast, answer)
    pointers = {error["pointer"] for error in refused}
    return Outcome(
        answer.status_code,
        "" if pointers else alike(answer.text, owner),
        sorted(alike(row, owner) for row in stored),
        pointers,
    )


def with_fields(body: Any, place: Path, added: dict[str, Any]) -> Any:
    """A copy of the body with more fields in the object at this place."""
    whole = copy.deepcopy(body)
    inner = whole
    for part in place:
        inner = inner[part]
    inner.update(added)
    return whole


BY_ITSELF = {
    "documents": {
        "state", "updated", "worker", "lease", "attempts", "text_size", "media_type", "title", "pages", "chunks",
        "stream_id",
    },
    "messages": {"seq", "first_word_ms", "total_ms", "alive"},
    "sessions": {"root_id", "leaf_id", "prior_leaf_id"},
    "api_keys": {"last_used"},
    "usage": {"id"},
}  # fmt: skip
"""Columns that change by themselves, or count."""
STORED = ("documents", "document_contents", "document_collections", "sessions", "messages", "api_keys")
"""What requests make. What is made of documents is made later."""


def rows_of(cast: Cast) -> list[str]:
    """All rows but those of usage, which come a little later."""
    found = contents(cast.ring.folder)
    return [line(table, row) for table in STORED for row in found[table]]


def usage_of(cast: Cast, answer: httpx.Response) -> list[str]:
    """What the stream that this answer is of has used."""
    stream_id = answer.headers.get("x-stream-id")

    def found() -> list[Row]:
        return [row for row in contents(cast.ring.folder)["usage"] if row["stream_id"] == stream_id]

    if stream_id is None:
        return []
    wait_for(found)
    return [line("usage", row) for row in found()]


def line(table: str, row: Row) -> str:
    kept = {name: value for name, value in row.items() if name not in BY_ITSELF.get(table, ())}
    return f"{table}: { {name: '<bytes>' if isinstance(value, bytes) else value for name, value in kept.items()} }"


def alike(text: str, owner: str) -> str:
    """The text without ids, moments and keys, which differ each time."""
    text = text.replace(owner, "<owner>")
    return re.sub(r"\b[0-9a-f]{12,}\b|\bsf_\w+|\b1\d{9}(?:\.\d+)?\b", "<made here>", text)
