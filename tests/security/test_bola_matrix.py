"""T01: every route and verb there is, asked by its owner, by another, without a credential, with a revoked one, and
with one that lacks the scope. What is another's is as unknown as what never was, to the byte.

A route that is not in one of the two tables fails the test. To add one: a line in `ROWS`, and where it names a thing a
maker in `MAKERS`, which makes one of the owner's and answers its id.

Shows T02 and T35 as well.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from domain.callers import SCOPES
from domain.messages import new_id
from routers.http.guard import GuardedRoute
from tests.support.keys import Credential, KeyRing, bearer
from tests.support.server import LiveServer
from tests.support.sse import parse
from wires.table import WIRES

pytestmark = pytest.mark.slow(reason="every route and verb, asked by five callers")

PUBLIC = {
    ("GET", "/"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/chat/health"),
    ("GET", "/chat/doctor"),
    ("GET", "/chat/doctor/{probe}"),
    ("GET", "/openapi.json"),
    ("HEAD", "/openapi.json"),
}
"""What everybody may see: it tells of no caller."""


@dataclass(frozen=True)
class Row:
    """How a route is called. `makes` names the maker of the thing in its path, if it has one, whose unknown ids look
    like `unknown`; `code` is the problem for unknown and foreign ones."""

    scope: str
    status: int = 200
    makes: str | None = None
    code: str = ""
    unknown: str = "0" * 32
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    form: dict[str, str] = field(default_factory=dict)
    within: dict[str, str] = field(default_factory=dict)
    """What stands for other names in the path."""


MESSAGE = {"message": "Tell me about streaming"}
CANCEL = "/chat/streams/{stream_id}/cancel"
JSON = {"accept": "application/json"}
SESSION = "/sessions/{session_id}"
DOCUMENT = "/documents/{document_id}"
NO_DOCUMENT = "document_not_found"
FILE = "/v1/files/{file_id}"
STORES = "/v1/vector_stores"
STORE = f"{STORES}/{{vector_store_id}}"
STORE_FILE = f"{STORE}/files/{{file_id}}"
NO_STORE = "vs_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA"
IN_STORE = {"{vector_store_id}": "vs_bWluZQ"}  # "mine", where a maker puts files
HISTORY = "/chat/history/{session_id}"
UNKNOWN = "session_not_found"
THREAD = {"threadId": "{id}", "runId": "run", "messages": [{"id": "", "role": "user", "content": "Hi"}]}
CHAT = {"id": "{id}", "message": {"id": "", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}}
COMPLETION = {"messages": [{"role": "user", "content": "Hi"}]}

ROWS: dict[tuple[str, str], list[Row]] = {
    ("POST", "/chat"): [
        Row("chat", body=MESSAGE),
        # A resumed stream is addressed by a header; one that is not there is told in the stream itself.
        Row("chat", makes="stream", body=MESSAGE, headers={"last-event-id": "{id}-1"}, code="stream_gone"),
        Row("chat", makes="session", body={**MESSAGE, "session_id": "{id}"}, code=UNKNOWN),
        Row("chat", makes="session", body=MESSAGE, params={"session_id": "{id}"}, code=UNKNOWN),
        Row("chat", makes="session", body={"session_id": "{id}", "regenerate": "{message}"}, code=UNKNOWN),
        Row("chat", makes="document", body={**MESSAGE, "documents": {"ids": ["{id}"]}}, code=NO_DOCUMENT),
    ],
    ("GET", "/chat/streams/{stream_id}"): [
        Row("read", makes="stream", code="stream_not_found"),
        Row("read", makes="stream", code="stream_not_found", headers=JSON),
        Row("read", makes="stream", code="stream_not_found", headers={"last-event-id": "{id}-1"}),
        Row("read", makes="stream", code="stream_not_found", params={"last_event_id": "{id}-1", "format": "text"}),
        *(Row("read", makes="completion", code="stream_not_found", params={"format": wire}) for wire in WIRES),
        Row("read", makes="run", code="stream_not_found", params={"format": "openai"}),
    ],
    ("POST", CANCEL): [
        Row("chat", 202, makes=thing, code="stream_not_found") for thing in ("stream", "completion", "run")
    ],
    ("POST", "/documents/upload"): [Row("documents", 202, files={"file": b"Some words"})],
    ("POST", "/documents/text"): [Row("documents", 202, body={"text": "Some other words"})],
    ("GET", "/documents"): [Row("read")],
    ("GET", "/collections"): [Row("read")],
    ("GET", DOCUMENT): [Row("read", makes="document", code=NO_DOCUMENT)],
    ("GET", f"{DOCUMENT}/events"): [Row("read", makes="document", code=NO_DOCUMENT)],
    ("GET", f"{DOCUMENT}/content"): [Row("read", makes="document", code=NO_DOCUMENT)],
    ("DELETE", DOCUMENT): [Row("documents", 204, makes="document", code=NO_DOCUMENT)],
    ("POST", "/v1/embeddings"): [Row("documents", body={"model": "wordllama", "input": "words"})],
    ("POST", "/v1/files"): [Row("documents", files={"file": b"Words again"}, form={"purpose": "assistants"})],
    ("GET", "/v1/files"): [Row("read"), Row("read", makes="document", params={"after": "{id}"}, code=NO_DOCUMENT)],
    ("GET", FILE): [Row("read", makes="document", code=NO_DOCUMENT)],
    ("GET", f"{FILE}/content"): [Row("read", makes="document", code=NO_DOCUMENT)],
    ("DELETE", FILE): [Row("documents", makes="document", code=NO_DOCUMENT)],
    ("POST", STORES): [
        Row("documents", body={"name": "a name"}),
        Row("documents", makes="document", body={"name": "mine", "file_ids": ["{id}"]}, code=NO_DOCUMENT),
    ],
    ("GET", STORES): [Row("read")],
    ("GET", STORE): [Row("read", makes="store", unknown=NO_STORE)],
    ("DELETE", STORE): [Row("documents", makes="store", unknown=NO_STORE)],
    ("POST", f"{STORE}/files"): [
        Row("documents", makes="document", within=IN_STORE, body={"file_id": "{id}"}, code=NO_DOCUMENT)
    ],
    ("GET", f"{STORE}/files"): [Row("read", makes="store", unknown=NO_STORE)],
    ("GET", STORE_FILE): [Row("read", makes="stored", within=IN_STORE, code=NO_DOCUMENT)],
    ("DELETE", STORE_FILE): [Row("documents", makes="stored", within=IN_STORE, code=NO_DOCUMENT)],
    ("POST", f"{STORE}/search"): [Row("read", makes="store", unknown=NO_STORE, body={"query": "words"})],
    ("POST", "/api/chat"): [Row("chat", makes="chat", unknown="of-nobody", body=CHAT)],  # opens one
    ("GET", "/api/chat/{chat_id:path}/stream"): [Row("read", makes="chat")],
    ("POST", "/api/chat/{chat_id:path}/stop"): [Row("chat", 204, makes="chat", code="No such session")],
    ("POST", "/ag-ui"): [Row("chat", makes="chat", unknown="of-nobody-either", body=THREAD)],
    ("POST", "/v1/chat/completions"): [Row("chat", body=COMPLETION), Row("chat", body={**COMPLETION, "stream": True})],
    ("GET", "/v1/models"): [Row("read")],
    ("GET", "/v1/models/{model_id:path}"): [Row("read", makes="model", unknown="nothing", code="model_not_found")],
    ("POST", "/sessions"): [Row("chat", 201, body={"title": "mine"})],
    ("GET", "/sessions"): [Row("read")],
    ("DELETE", "/sessions"): [Row("chat", 204, params={"everything": "true"})],
    ("GET", "/search"): [Row("read", params={"q": "streaming"})],
    ("GET", SESSION): [Row("read", makes="session", code=UNKNOWN)],
    ("PATCH", SESSION): [Row("chat", makes="session", code=UNKNOWN, body={"title": "mine"})],
    ("DELETE", SESSION): [Row("chat", 204, makes="session", code=UNKNOWN)],
    ("PUT", f"{SESSION}/branch"): [Row("chat", makes="session", code=UNKNOWN, body={"message_id": "{message}"})],
    ("GET", f"{SESSION}/export"): [
        Row("read", makes="session", code=UNKNOWN),
        Row("read", makes="session", code=UNKNOWN, params={"format": "markdown"}),
    ],
    ("GET", HISTORY): [
        Row("read", makes="session", code=UNKNOWN),
        Row("read", makes="session", code=UNKNOWN, params={"all": "true"}),
    ],
    ("DELETE", HISTORY): [Row("chat", 204, makes="session", code=UNKNOWN)],
    ("GET", "/usage"): [Row("read")],
    ("GET", "/models"): [Row("read")],
    ("GET", "/models/{model_id:path}"): [Row("read", makes="model", unknown="nothing", code="model_not_found")],
    ("GET", "/keys"): [Row("read")],
    ("POST", "/keys"): [Row("keys", 201, body={"name": "mine"})],
    ("DELETE", "/keys/{key_id}"): [Row("keys", 204, makes="key", unknown="0" * 16, code="key_not_found")],
}

SHARED = {"model"}
"""What belongs to nobody, so that another may see it."""


@dataclass(frozen=True)
class Cast:
    """Who asks, and of whom."""

    server: LiveServer
    owner: Credential
    other: Credential
    revoked: Credential
    ring: KeyRing
    answers: dict[str, str] = field(default_factory=dict)
    """The message that was answered with, by session."""
    things: dict[str, str] = field(default_factory=dict)
    """One of each kind, for those who must not reach it: another test holds that they change nothing."""


def make_session(cast: Cast) -> str:
    body = {**MESSAGE, "new_session": True}
    answer = httpx.post(f"{cast.server.url}/chat?format=events", json=body, headers=bearer(cast.owner))
    session_id = str(answer.headers["x-session-id"])
    cast.answers[session_id] = json.loads(parse(answer.content)[0].data)["message_id"]
    return session_id


def make_stream(cast: Cast) -> str:
    answer = httpx.post(f"{cast.server.url}/chat", json=MESSAGE, headers=bearer(cast.owner))
    return str(answer.headers["x-stream-id"])


def make_completion(cast: Cast) -> str:
    answer = httpx.post(f"{cast.server.url}/v1/chat/completions", json=COMPLETION, headers=bearer(cast.owner))
    return str(answer.headers["x-stream-id"])


def make_run(cast: Cast) -> str:
    answer = httpx.post(f"{cast.server.url}/ag-ui", json=filled(THREAD, id=new_id()), headers=bearer(cast.owner))
    return str(answer.headers["x-stream-id"])


def make_chat(cast: Cast) -> str:
    chat_id = new_id()
    body = filled(CHAT, id=chat_id)
    assert httpx.post(f"{cast.server.url}/api/chat", json=body, headers=bearer(cast.owner)).status_code == 200
    return chat_id


def make_document(cast: Cast) -> str:
    body = {"text": f"Nobody else has these words: {new_id()}"}
    answer = httpx.post(f"{cast.server.url}/documents/text", json=body, headers=bearer(cast.owner))
    return str(answer.json()["id"])


def make_stored(cast: Cast, name: str = "mine") -> str:
    file_id = make_document(cast)
    body = {"name": name, "file_ids": [file_id]}
    assert httpx.post(f"{cast.server.url}{STORES}", json=body, headers=bearer(cast.owner)).status_code == 200
    return file_id


def make_store(cast: Cast) -> str:
    name = new_id()
    make_stored(cast, name)
    return "vs_" + base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


MAKERS: dict[str, Callable[[Cast], str]] = {
    "stream": make_stream,
    "completion": make_completion,
    "run": make_run,
    "session": make_session,
    "chat": make_chat,
    "document": make_document,
    "stored": make_stored,
    "store": make_store,
    "model": lambda cast: "simulated",
    "key": lambda cast: cast.ring.make("owner").key.id,
}

CASES = [(verb, path, row) for (verb, path), rows in ROWS.items() for row in rows]
each_case = pytest.mark.parametrize(("verb", "path", "row"), CASES, ids=[f"{verb} {path}" for verb, path, _ in CASES])
each_thing = pytest.mark.parametrize(
    ("verb", "path", "row"),
    [case for case in CASES if case[2].makes],
    ids=[f"{verb} {path}" for verb, path, row in CASES if row.makes],
)


@pytest.fixture(scope="module")
def cast(shared_server: LiveServer, shared_ring: KeyRing) -> Cast:
    revoked = shared_ring.make("owner")
    shared_ring.revoke(revoked.key.id)
    return Cast(shared_server, shared_ring.make("owner"), shared_ring.make("other"), revoked, shared_ring)


def routes_of(app: FastAPI) -> Iterator[tuple[str, str, bool]]:
    """Every verb and path that the application answers, and whether the guard stands before it."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        path = str(context.path or getattr(route, "path", ""))
        for verb in sorted(context.methods or getattr(route, "methods", None) or {"MOUNT"}):
            yield verb, path, isinstance(route, GuardedRoute)


def filled(template: Any, **values: str) -> Any:
    """A body with what its texts leave open."""
    if isinstance(template, dict):
        return {name: filled(part, **values) for name, part in template.items()}
    if isinstance(template, list):
        return [filled(part, **values) for part in template]
    return template.format(**values) if isinstance(template, str) else template


def ask(cast: Cast, verb: str, path: str, row: Row, *, key: Credential | None, thing: str) -> httpx.Response:
    """One call, of the thing with this id."""
    for other, known in row.within.items():
        path = path.replace(other, known)
    name = path.partition("{")[2].partition("}")[0]
    address = path.replace(f"{{{name}}}", thing)
    headers = {**{name: text.format(id=thing) for name, text in row.headers.items()}, **(bearer(key) if key else {})}
    params = {name: text.format(id=thing) for name, text in row.params.items()}
    message = cast.answers.get(thing, "0" * 32)
    given: dict[str, Any] = (
        {"files": row.files, "data": row.form} if row.files else {"json": filled(row.body, id=thing, message=message)}
    )
    return httpx.request(verb, f"{cast.server.url}{address}", **given, headers=headers, params=params, timeout=20)


def told(answer: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """All that an answer says, but for what differs with every request."""
    left = {"date", "x-request-id", "x-stream-id", "x-session-id"}
    said = re.sub(rb'"(messageId|threadId)":"[0-9a-z-]+"', b"", answer.content)
    said = re.sub(rb'"(id":"vs_\w+|name":"[0-9a-f]{32})"', b"", said)  # as asked for: every name is a store
    return answer.status_code, {k: v for k, v in answer.headers.items() if k not in left}, said


def made(cast: Cast, row: Row) -> str:
    return MAKERS[row.makes](cast) if row.makes else ""


def out_of_reach(cast: Cast, row: Row) -> str:
    if row.makes and row.makes not in cast.things:
        cast.things[row.makes] = made(cast, row)
    return cast.things[row.makes] if row.makes else ""


def test_every_route_is_declared_and_every_declared_one_is_there(shared_server: LiveServer) -> None:
    there = {(verb, path): guarded for verb, path, guarded in routes_of(shared_server.app)}
    assert {route for route, guarded in there.items() if not guarded} == PUBLIC
    assert {route for route, guarded in there.items() if guarded} == set(ROWS)


@each_case
def test_the_owner_gets_what_it_asks_for(cast: Cast, verb: str, path: str, row: Row) -> None:
    answer = ask(cast, verb, path, row, key=cast.owner, thing=made(cast, row))
    assert answer.status_code == row.status, answer.text
    assert not row.code or row.code not in answer.text


@each_thing
def test_what_is_anothers_is_as_unknown_as_what_never_was(cast: Cast, verb: str, path: str, row: Row) -> None:
    unknown = ask(cast, verb, path, row, key=cast.other, thing=row.unknown)
    assert row.code in unknown.text
    foreign = ask(cast, verb, path, row, key=cast.other, thing=made(cast, row))
    if row.makes in SHARED:
        assert foreign.status_code == row.status
    else:
        assert told(foreign) == told(unknown)


@each_thing
def test_a_foreign_call_changes_nothing(cast: Cast, verb: str, path: str, row: Row) -> None:
    thing = made(cast, row)
    ask(cast, verb, path, row, key=cast.other, thing=thing)
    answer = ask(cast, verb, path, row, key=cast.owner, thing=thing)
    assert answer.status_code == row.status


@each_case
def test_without_a_good_credential_nothing_is_said(cast: Cast, verb: str, path: str, row: Row) -> None:
    answers = [
        ask(cast, verb, path, row, key=key, thing=thing)
        for key in (None, cast.revoked)
        for thing in (out_of_reach(cast, row), row.unknown)
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
    assert len({answer.content for answer in answers}) == 1


@each_case
def test_a_key_without_the_scope_is_refused_before_anything_is_looked_up(
    cast: Cast, verb: str, path: str, row: Row
) -> None:
    lacking = cast.ring.make("owner", frozenset(SCOPES) - {row.scope})
    answers = [ask(cast, verb, path, row, key=lacking, thing=thing) for thing in (out_of_reach(cast, row), row.unknown)]
    assert {answer.status_code for answer in answers} == {403}
    if answers[0].headers["content-type"] == "application/problem+json":
        assert {answer.json()["code"] for answer in answers} == {"insufficient_scope"}
    assert row.scope in answers[0].text
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize("field", ["edit", "regenerate"])
def test_a_message_of_anothers_session_is_unknown_in_ones_own(cast: Cast, field: str) -> None:
    body = {**MESSAGE, "new_session": True}
    own = httpx.post(f"{cast.server.url}/chat", json=body, headers=bearer(cast.other)).headers["x-session-id"]
    foreign = cast.answers[make_session(cast)]
    answers = []
    for message_id in (foreign, "0" * 32):
        asked = {field: message_id, "session_id": own, **(MESSAGE if field == "edit" else {})}
        answers.append(httpx.post(f"{cast.server.url}/chat", json=asked, headers=bearer(cast.other)))
    assert {answer.status_code for answer in answers} == {404}
    assert told(answers[0]) == told(answers[1])
