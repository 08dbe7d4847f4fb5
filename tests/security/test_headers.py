"""T21, T35, T43: the headers that keep answers out of caches and other pages, on every kind of answer."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.security.conftest import ServeKeys
from tests.support.keys import KeyRing, bearer
from tests.support.server import LiveServer, live_server, make_settings

MESSAGE = {"message": "Hello"}
COMPLETION = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
CHAT = {"id": "a", "message": {"id": "b", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}}
RUN = {"threadId": "c", "runId": "d", "messages": [{"id": "e", "role": "user", "content": "Hi"}]}

EVERYWHERE = {"x-content-type-options": "nosniff"}
KEPT_NOWHERE = {**EVERYWHERE, "cache-control": "no-store"}
STREAMED = {**EVERYWHERE, "cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}
ASKED_AGAIN = {**EVERYWHERE, "cache-control": "no-cache"}

ANSWERS: dict[str, tuple[str, str, dict[str, Any], int, dict[str, str]]] = {
    "a greeting": ("GET", "/", {}, 200, KEPT_NOWHERE),
    "health": ("GET", "/health", {}, 200, KEPT_NOWHERE),
    "sessions": ("GET", "/sessions", {}, 200, KEPT_NOWHERE),
    "a new session": ("POST", "/sessions", {"json": {}}, 201, KEPT_NOWHERE),
    "keys": ("GET", "/keys", {}, 200, KEPT_NOWHERE),
    "a search": ("GET", "/search?q=x", {}, 200, KEPT_NOWHERE),
    "documents": ("GET", "/documents", {}, 200, KEPT_NOWHERE),
    "usage": ("GET", "/usage", {}, 200, KEPT_NOWHERE),
    "models": ("GET", "/v1/models", {}, 200, KEPT_NOWHERE),
    "an answer": ("POST", "/v1/chat/completions", {"json": {**COMPLETION, "stream": False}}, 200, KEPT_NOWHERE),
    "a stream of text": ("POST", "/chat", {"json": MESSAGE}, 200, STREAMED),
    "a stream of events": ("POST", "/chat?format=events", {"json": MESSAGE}, 200, STREAMED),
    "a stream of OpenAI's": ("POST", "/v1/chat/completions", {"json": COMPLETION}, 200, STREAMED),
    "a stream of the AI SDK": ("POST", "/api/chat", {"json": CHAT}, 200, STREAMED),
    "a stream of AG-UI": ("POST", "/ag-ui", {"json": RUN}, 200, STREAMED),
    "no such route": ("GET", "/nothing", {}, 404, KEPT_NOWHERE),
    "no such stream": ("GET", f"/chat/streams/{'0' * 32}", {}, 404, KEPT_NOWHERE),
    "no such verb": ("PUT", "/chat", {}, 405, KEPT_NOWHERE),
    "no such type": ("POST", "/chat", {"content": "x"}, 415, KEPT_NOWHERE),
    "not valid": ("POST", "/chat", {"json": {}}, 422, KEPT_NOWHERE),
    "too large": ("POST", "/chat", {"content": b" " * (2**20 + 1)}, 413, KEPT_NOWHERE),
    "not let in": ("GET", "/sessions", {"headers": {"authorization": "Bearer x"}}, 401, KEPT_NOWHERE),
    "the API": ("GET", "/openapi.json", {}, 200, KEPT_NOWHERE),
    "the page": ("GET", "/docs", {}, 200, ASKED_AGAIN),
    "the page's script": ("GET", "/docs/assets/swagger-ui-bundle.js", {}, 200, ASKED_AGAIN),
}
PAGE = {"content-security-policy", "referrer-policy"}
NAMES = ("cache-control", "x-content-type-options", "x-accel-buffering", "x-powered-by", "access-control-", *PAGE)


@pytest.fixture(scope="module")
def server(shared_ring: KeyRing) -> Iterator[LiveServer]:
    settings = make_settings(STREAM_DELAY=0, AUTH_MODE="api_key", DATA_DIR=shared_ring.folder, DOCS=True)
    with live_server(settings) as server:
        yield server


@pytest.fixture(scope="module")
def key(shared_ring: KeyRing) -> dict[str, str]:
    return bearer(shared_ring.make("ann"))


@pytest.mark.parametrize("what", ANSWERS)
def test_every_kind_of_answer_has_its_headers(server: LiveServer, key: dict[str, str], what: str) -> None:
    method, path, sent, status, expected = ANSWERS[what]
    answer = httpx.request(method, server.url + path, **{"headers": key, **sent})
    assert answer.status_code == status, answer.text
    told = {name: value for name, value in answer.headers.items() if name.startswith(NAMES)}
    page = PAGE if what == "the page" else set()
    assert {name: value for name, value in told.items() if name not in PAGE} == expected
    assert set(told) - set(expected) == page


def test_what_is_made_of_somebodys_things_is_kept_nowhere(server: LiveServer, key: dict[str, str]) -> None:
    with httpx.Client(base_url=server.url, headers=key, timeout=20) as ann:
        stream = ann.post("/chat", json={**MESSAGE, "new_session": True})
        document = ann.post("/documents/text", json={"text": "Some words"}).json()["id"]
        answers = [
            ann.get(f"/chat/streams/{stream.headers['x-stream-id']}", headers={"accept": "application/json"}),
            ann.get(f"/sessions/{stream.headers['x-session-id']}/export"),
            ann.get(f"/documents/{document}/content"),
            ann.post("/v1/embeddings", json={"model": "wordllama", "input": "words"}),
            ann.post("/keys", json={"name": "another"}),
            ann.get(f"/chat/doctor/{'0' * 32}"),
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 201, 404]
    assert [answer.headers.get_list("cache-control") for answer in answers] == [["no-store"]] * len(answers)


def test_the_page_loads_its_own_scripts_and_nothing_else(server: LiveServer) -> None:
    answer = httpx.get(f"{server.url}/docs")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    [script] = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy["script-src"] == f"'self' 'sha256-{digest}'"


@pytest.mark.parametrize(
    ("settings", "status"),
    [({}, 404), ({"DOCS": True}, 200), ({"AUTH_MODE": "none"}, 200), ({"AUTH_MODE": "none", "DOCS": False}, 404)],
)
def test_the_page_is_shown_only_to_those_for_whom_the_server_is(
    serve_keys: ServeKeys, serve: Callable[..., LiveServer], settings: dict[str, Any], status: int
) -> None:
    server = serve(**settings) if "AUTH_MODE" in settings else serve_keys(**settings)
    for path in ("/docs", "/docs/assets/swagger-ui.css", "/docs/assets/"):
        answer = httpx.get(server.url + path)
        assert answer.status_code == (404 if path.endswith("/") else status)
        if status == 404:
            assert answer.json() == {**httpx.get(f"{server.url}/nothing").json()}
    assert httpx.get(server.url).json()["endpoints"]["docs"] == ("/docs" if status == 200 else None)
