"""What holds on every wire alike, each time in the wire's own shape: keys, scopes, limits, repeats, the shutdown.

Shows T28.
"""

import json
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings

from domain.errors import ERRORS
from domain.messages import new_id
from tests.support.effort import examples
from tests.support.keys import KeyRing, bearer
from tests.support.server import LiveServer, live_server, make_settings, process_server, wait_for
from tests.support.sse import parse, text_of
from tests.wires.samples import TEXTS, TROUBLE, with_lf
from wires.openai import failure

Serve = Callable[..., LiveServer]


def problem(answer: httpx.Response) -> str:
    """The code of RFC 9457's body."""
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["code"])


def openai_error(answer: httpx.Response) -> str:
    """The code of OpenAI's error object, as it is called here."""
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()["error"]["code"]
    return next(code for code in ERRORS if failure(code)["code"] == told)


def sentence(answer: httpx.Response) -> str:
    """The code that one sentence in plain text stands for."""
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    return next(code for code, kind in ERRORS.items() if kind.message == answer.text)


def last_data(body: bytes) -> Any:
    """The JSON of the last block but a mark of the end."""
    return json.loads([block.data for block in parse(body) if block.data != "[DONE]"][-1])


def text_in(body: bytes, *path: str) -> str:
    """All that stands at this place of every block's JSON, joined."""
    found = []
    for block in parse(body):
        value: Any = json.loads(block.data) if block.data != "[DONE]" else {}
        for name in path:
            inner = value[0] if isinstance(value, list) and value else value
            value = inner.get(name, {}) if isinstance(inner, dict) else {}
        found += [value] if isinstance(value, str) else []
    return "".join(found)


@dataclass(frozen=True)
class Way:
    """A way to have a stream started, and to read it: how it refuses, how it breaks off, what it has said."""

    path: str
    body: dict[str, Any]
    refused: Callable[[httpx.Response], str]
    failed: Callable[[bytes], str]
    said: Callable[[bytes], str]

    def elsewhere(self) -> "Way":
        """The same in another chat, where there is one: in its own, it would be the same request again."""
        return replace(self, body={**self.body, **{name: new_id() for name in ("id", "threadId") if name in self.body}})

    def ask(self, server: LiveServer | str, headers: dict[str, str] | None = None) -> httpx.Response:
        url = server if isinstance(server, str) else server.url
        return httpx.post(f"{url}{self.path}", json=self.body, headers=headers, timeout=20)


USER = {"role": "user", "content": "Hi"}
PART = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
WAYS = {
    "text": Way("/chat", {"message": "Hi"}, problem, lambda body: str(last_data(body)["code"]), text_of),
    "events": Way(
        "/chat?format=events",
        {"message": "Hi"},
        problem,
        lambda body: str(last_data(body)["code"]),
        lambda body: text_in(body, "text"),
    ),
    "openai": Way(
        "/v1/chat/completions",
        {"messages": [USER], "stream": True},
        openai_error,
        lambda body: str(last_data(body)["error"]["code"]),
        lambda body: text_in(body, "choices", "delta", "content"),
    ),
    "ai_sdk": Way(
        "/api/chat",
        {"id": "mine", "messages": [PART]},
        sentence,
        lambda body: next(code for code, kind in ERRORS.items() if kind.message == last_data(body)["errorText"]),
        lambda body: text_in(body, "delta"),
    ),
    "ag_ui": Way(
        "/ag-ui",
        {"threadId": "yours", "runId": "r", "messages": [{"id": "1", **USER}]},
        sentence,
        lambda body: str(last_data(body)["code"]),
        lambda body: text_in(body, "delta"),
    ),
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))


@every_way
def test_who_has_no_key_or_too_small_a_one_is_refused(serve: Serve, tmp_path: Path, way: Way) -> None:
    ring = KeyRing(tmp_path)
    server = serve(AUTH_MODE="api_key", DATA_DIR=ring.folder)
    for headers in ({}, {"authorization": "Bearer sk-wrong"}):
        nobody = way.ask(server, headers)
        assert (nobody.status_code, way.refused(nobody)) == (401, "unauthenticated")
        assert nobody.headers["www-authenticate"] == "Bearer"
    reader = way.ask(server, bearer(ring.make("ann", frozenset({"read"}))))
    assert reader.status_code == 403
    assert reader.headers["content-type"] == nobody.headers["content-type"]
    assert "`chat`" in reader.text or "'chat'" in reader.text
    assert way.ask(server, bearer(ring.make("ann"))).status_code == 200


@every_way
def test_who_asks_too_often_is_told_when_to_come_back(serve: Serve, way: Way) -> None:
    server = serve(RATE_LIMIT="1/day")
    assert way.ask(server).status_code == 200
    limited = way.ask(server)
    assert (limited.status_code, way.refused(limited)) == (429, "rate_limited")
    assert 0 < int(limited.headers["retry-after"]) <= 86_400
    assert limited.headers["ratelimit-remaining"] == "0"


@every_way
def test_one_stream_too_many_is_told_to_come_back(serve: Serve, way: Way) -> None:
    server = serve(MAX_STREAMS=1, STREAM_DELAY=60, DRAIN_TIMEOUT=0)
    with httpx.stream("POST", f"{server.url}/chat", json={"message": "Hi"}):
        refused = way.ask(server)
    assert (refused.status_code, way.refused(refused)) == (503, "too_many_streams")
    assert refused.headers["retry-after"] == "5"


@every_way
def test_a_repeat_is_ones_own(serve: Serve, tmp_path: Path, way: Way) -> None:
    ring = KeyRing(tmp_path)
    server = serve(AUTH_MODE="api_key", DATA_DIR=ring.folder)
    ann, bob = ({"idempotency-key": "one try", **bearer(ring.make(name))} for name in ("ann", "bob"))
    first, again, foreign = (way.ask(server, headers) for headers in (ann, ann, bob))
    assert again.headers["x-stream-id"] == first.headers["x-stream-id"] != foreign.headers["x-stream-id"]
    assert [answer.headers.get("idempotent-replayed") for answer in (first, again, foreign)] == [None, "true", None]
    assert way.said(again.content) == way.said(first.content) != ""


@every_way
def test_a_repeat_whose_answer_is_gone_is_refused_and_starts_nothing(serve: Serve, tmp_path: Path, way: Way) -> None:
    ring = KeyRing(tmp_path)
    server = serve(AUTH_MODE="api_key", DATA_DIR=ring.folder, STREAM_RETAINED_BYTES=0)
    ann = {"idempotency-key": "one try", **bearer(ring.make("ann"))}
    first = way.ask(server, ann)
    url = f"{server.url}/chat/streams/{first.headers['x-stream-id']}"
    wait_for(lambda: httpx.get(url, headers=ann).status_code == 404)
    for _ in range(2):
        again = way.ask(server, ann)
        assert (again.status_code, way.refused(again)) == (409, "idempotency_gone")
        assert "x-stream-id" not in again.headers
    assert way.ask(server, {**ann, "idempotency-key": "another"}).status_code == 200


def test_a_shutdown_refuses_and_breaks_off_in_every_wires_own_words() -> None:
    with process_server(STREAM_DELAY=60, DRAIN_TIMEOUT=3) as (process, url), ExitStack() as stack:
        running = {}
        for name, way in WAYS.items():
            request = httpx.stream("POST", f"{url}{way.path}", json=way.body, timeout=30)
            answer = stack.enter_context(request)
            running[name] = (way, pieces := answer.iter_raw(), [next(pieces)])
        process.popen.send_signal(signal.SIGTERM)
        wait_for(lambda: httpx.get(f"{url}/ready").status_code == 503)
        for way in WAYS.values():
            refused = way.elsewhere().ask(url)
            assert (refused.status_code, way.refused(refused)) == (503, "server_draining")
            assert int(refused.headers["retry-after"]) > 0
        for name, (way, pieces, begun) in running.items():
            body = b"".join([*begun, *pieces])
            assert (way.said(body), way.failed(body)) == ("This ", "server_draining"), name


@settings(deadline=None, max_examples=examples(10))
@given(text=TEXTS)
@example(text="".join(TROUBLE))
def test_every_wire_tells_the_text_that_is_kept(text: str) -> None:
    with live_server(make_settings(SIMULATED_TEXT=text, STREAM_DELAY=0)) as server:
        body = {"message": "Hi", "new_session": True}
        started = httpx.post(f"{server.url}/chat", json=body)
        kept = httpx.get(f"{server.url}/chat/history/{started.headers['x-session-id']}").json()["items"][-1]["text"]
        assert kept == text
        for name, way in WAYS.items():
            answer = httpx.get(f"{server.url}/chat/streams/{started.headers['x-stream-id']}", params={"format": name})
            assert way.said(answer.content) == (with_lf(text) if name == "text" else text), name
