"""/v1 over a real socket: leaving, detaching, coming back, and every refusal in OpenAI's shape (T18)."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.callers import LOCAL
from routers.schemas.base import LenientModel
from tests.journeys.conftest import Play, ServeModels
from tests.support.answers import heard
from tests.support.catalogue import row
from tests.support.completions import WEATHER, complete, completed, post
from tests.support.keys import KeyRing, bearer
from tests.support.provider import Answer
from tests.support.scripts import COMMIT, asked, words_then
from tests.support.server import LiveServer, live_server, make_settings, process_server, wait_for

Serve = Callable[..., LiveServer]
USER = [{"role": "user", "content": "hello"}]
DETACH = {"X-Stream-Detach": "true"}


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(make_settings(STREAM_DELAY=0, MAX_MESSAGE_CHARS=100)) as started:
        yield started


def state(server: LiveServer, stream_id: str) -> dict[str, Any]:
    answer = httpx.get(f"{server.url}/chat/streams/{stream_id}", headers={"accept": "application/json"})
    return answer.json()  # type: ignore[no-any-return]


def endless(answer: Answer) -> None:
    answer.endless(every=0.01)


def silent(answer: Answer) -> None:
    answer.begin()
    answer.stall(20)


def leave(server: LiveServer, until: Callable[[], object], *, stream: bool, headers: str = "") -> None:
    """Ask, and close the connection once that holds; of a stream, once the head of the answer is there too."""
    body = json.dumps({"messages": USER, "stream": stream}).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        if stream:
            assert client.recv(12) == b"HTTP/1.1 200"
        wait_for(until)


def running(server: LiveServer) -> list[str]:
    """The streams that are."""

    async def look() -> list[str]:
        return list(server.supervisor._live)

    return server.call(look)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("script", [endless, silent])
def test_who_leaves_stops_the_model(
    play: Play, serve_models: ServeModels, script: Callable[[Answer], None], stream: bool
) -> None:
    model = play(script)
    server = serve_models(row("openai", model.url))
    leave(server, lambda: model.seen.requests, stream=stream)
    assert model.seen.client_left.wait(10), "the model still talks to nobody"
    wait_for(lambda: not running(server))


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_detached_can_come_back(play: Play, serve_models: ServeModels, stream: bool) -> None:
    go_on = threading.Event()

    def script(answer: Answer) -> None:
        answer.chunk("one ")
        go_on.wait(20)
        answer.chunk("two")
        answer.finish()

    server = serve_models(row("openai", play(script).url))
    leave(server, lambda: running(server), stream=stream, headers="X-Stream-Detach: true\r\n")
    (stream_id,) = running(server)
    tail = server.call(lambda: server.services.streaming.find(LOCAL, stream_id))
    wait_for(lambda: not tail.followers)
    go_on.set()
    wait_for(lambda: state(server, stream_id)["state"] == "completed")
    back = httpx.get(f"{server.url}/chat/streams/{stream_id}?format=openai&after=2")
    assert completed(back).text == "two"
    assert completed(back).finish_reason == "stop"


@pytest.mark.parametrize("format", ["text", "events", "openai"])
def test_any_stream_is_read_on_any_wire(server: LiveServer, format: str) -> None:
    text = "This is a simulated streaming response"
    native = httpx.post(f"{server.url}/chat", json={"message": "hello"}).headers["x-stream-id"]
    ours = complete(server).headers["x-stream-id"]
    whole = post(server).headers["x-stream-id"]
    for stream_id in (native, ours, whole):
        answer = httpx.get(f"{server.url}/chat/streams/{stream_id}?format={format}")
        if format == "openai":
            read = completed(answer)
            assert (read.text, read.chunks[0]["id"]) == (text, f"chatcmpl-{stream_id}")
        elif format == "events":
            assert heard(answer).text == text
        else:
            assert answer.text.replace("data: ", "").replace("\n\n", "") == text


def test_a_wait_for_the_whole_answer_is_told_how_it_failed(play: Play, serve_models: ServeModels) -> None:
    model = play(words_then(lambda answer: answer.in_band_error()))
    server = serve_models(row("openai", model.url))
    answer = post(server)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_error")
    assert answer.headers["x-should-retry"] == "false", "tokens were spent"
    assert state(server, answer.headers["x-stream-id"])["error"]["code"] == "provider_error"


def test_a_wait_for_an_answer_that_somebody_stops_is_a_conflict(play: Play, serve_models: ServeModels) -> None:
    server = serve_models(row("openai", play(endless).url))
    answers: list[httpx.Response] = []
    waiting = threading.Thread(target=lambda: answers.append(post(server)))
    waiting.start()
    wait_for(lambda: running(server))
    (stream_id,) = running(server)
    wait_for(lambda: state(server, stream_id)["text"])
    httpx.post(f"{server.url}/chat/streams/{stream_id}/cancel")
    waiting.join(timeout=20)
    (answer,) = answers
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "stream_cancelled")
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("stream", [True, False])
def test_an_early_failure_is_a_status_that_says_whether_to_ask_again(
    play: Play, serve_models: ServeModels, stream: bool
) -> None:
    busy = play(lambda answer: answer.status(429, headers={"retry-after": "7"}))
    slow = play(silent)
    server = serve_models(
        row("openai", busy.url),
        row("openai", slow.url, id="slow", timeouts={"first_token": 0.2}),
        row("openai", busy.url, id="keyless", key="nobody"),
        **COMMIT,
    )
    nothing = post(server, stream=stream)
    assert (nothing.status_code, nothing.json()["error"]["type"]) == (429, "rate_limit_error")
    assert (nothing.headers["retry-after"], nothing.headers["retry-after-ms"]) == ("7", "7000")
    assert "x-should-retry" not in nothing.headers, "nothing was spent"
    read = post(server, stream=stream, model="slow")
    assert (read.status_code, read.json()["error"]["code"]) == (504, "provider_timeout")
    assert read.headers["x-should-retry"] == "false", "the model has read the prompt"
    never = post(server, stream=stream, model="keyless")
    assert (never.status_code, never.json()["error"]["code"]) == (503, "provider_not_configured")
    assert never.headers["x-should-retry"] == "false", "it would fail in the same way"


def test_a_prompt_that_is_too_long_is_told_as_openai_does(play: Play, serve_models: ServeModels) -> None:
    told = {"message": "This model's maximum context length is 8192 tokens.", "code": "context_length_exceeded"}
    server = serve_models(row("openai", play(lambda answer: answer.status(400, {"error": told})).url), **COMMIT)
    answer = post(server)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")


def test_the_same_key_answers_with_the_same_stream_streamed_or_not(play: Play, serve_models: ServeModels) -> None:
    model = play(lambda answer: answer.say("fine ", "answer"))
    server = serve_models(row("openai", model.url))
    key = {"Idempotency-Key": "one try"}
    first = completed(post(server, headers=key, stream=True))
    again = post(server, headers=key)
    assert again.json()["choices"][0]["message"]["content"] == first.text == "fine answer"
    assert again.headers["x-stream-id"] == first.headers["x-stream-id"]
    assert (again.headers["idempotent-replayed"], "idempotent-replayed" in first.headers) == ("true", False)
    other = post(server, headers=key, temperature=0.5)
    assert (other.status_code, other.json()["error"]["code"]) == (400, "idempotency_mismatch")
    native = httpx.post(f"{server.url}/chat", json={"message": "hello"}, headers=key)
    assert (native.status_code, native.json()["code"]) == (422, "idempotency_mismatch")
    assert asked(model) == 1


def test_unknown_fields_and_null_are_as_good_as_nothing(server: LiveServer) -> None:
    known = ["temperature", "top_p", "n", "stop", "seed", "tools", "tool_choice", "max_tokens", "response_format"]
    fields: dict[str, Any] = {**dict.fromkeys(known), "logit_bias": {"1": 1}, "user": "me", "metadata": {"a": "b"}}
    message = {"role": "user", "content": "hello", "name": "me", "audio": None}
    assert complete(server, messages=[message], store=False, **fields).finish_reason == "stop"
    assert post(server, n=1, stop=[], stream=None, stream_options=None).status_code == 200


def test_what_a_model_or_a_tool_has_said_may_be_longer_than_what_people_write(server: LiveServer) -> None:
    said = [{"role": "assistant", "content": "x" * 101, "tool_calls": [CALL]}]
    result = {"role": "tool", "tool_call_id": "c", "content": "x" * 101}
    assert complete(server, messages=[*USER, *said, result]).finish_reason == "stop"


PART = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
DEEP: dict[str, Any] = {}
for _ in range(60):
    DEEP = {"properties": DEEP}


def said(role: str, content: object = "x", **more: object) -> dict[str, Any]:
    return {"messages": [*USER, {"role": role, "content": content, **more}]}


def offered(**function: object) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": "f", **function}}]}


INVALID: list[tuple[dict[str, Any], str | None]] = [
    ({"messages": []}, "messages"),
    ({"messages": "hello"}, "messages"),
    (said("robot"), "messages[1].role"),
    (said("user", None), "messages[1].content"),
    (said("user", []), "messages[1].content"),
    (said("user", 5), "messages[1].content"),
    (said("user", "x" * 101), "messages[1].content"),
    (said("system", "x" * 101), "messages[1].content"),
    (said("user", [{"type": "text"}]), "messages[1].content[0]"),
    (said("user", [{"type": "input_audio", "input_audio": {}}]), "messages[1].content[0].type"),
    (said("user", [{"type": "text", "text": "see"}, PART]), "messages[1].content[1].image_url"),
    (said("user", [{"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}}]),
     "messages[1].content[0].image_url"),
    (said("user", [{"type": "image_url", "image_url": {"url": "data:text/html;base64,eA=="}}]),
     "messages[1].content[0].image_url"),
    (said("system", [{"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}]),
     "messages[1].content"),
    (said("tool"), "messages[1].tool_call_id"),
    (said("tool", tool_call_id="unheard"), "messages[1].tool_call_id"),
    (said("user", tool_calls=[CALL]), "messages[1].tool_calls"),
    (said("assistant", tool_calls=[{**CALL, "id": ""}]), "messages[1].tool_calls[0].id"),
    ({"n": 2}, "n"),
    ({"temperature": 3}, "temperature"),
    ({"top_p": -1}, "top_p"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_completion_tokens": 10**9}, "max_completion_tokens"),
    ({"seed": 2**31}, "seed"),
    ({"stop": ["a"] * 5}, "stop"),
    ({"stop": "x" * 101}, "stop"),
    ({"model": "x" * 201}, "model"),
    ({"model": "gpt-9"}, "model"),
    ({"reasoning_effort": "utmost"}, "reasoning_effort"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format"),
    (offered(name="two words"), "tools[0].function.name"),
    (offered(parameters=DEEP), "tools[0].function.parameters"),
    (offered(parameters={"default": "\ud800"}), "tools[0].function.parameters"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"tools": [WEATHER] * 2}, "tools"),
    ({"tools": [WEATHER] * 129}, "tools"),
    ({"tool_choice": "auto"}, "tool_choice"),
    ({"parallel_tool_calls": True}, "parallel_tool_calls"),
    ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice"),
    ({"tools": [WEATHER], "tool_choice": "sometimes"}, "tool_choice"),
    ({"tools": [WEATHER], "tool_choice": {"type": "function"}}, "tool_choice"),
    ({str(number): 1 for number in range(LenientModel.max_fields)}, None),
    ({"temperature": 0.5}, "temperature"),  # which the simulated responder does not take
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "param"), INVALID, ids=[f"{number}: {param}" for number, (_, param) in enumerate(INVALID)]
)
def test_what_is_invalid_is_named_by_param(server: LiveServer, fields: dict[str, Any], param: str | None) -> None:
    body = json.dumps({"messages": USER, **fields})  # escapes what would be no UTF-8
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{server.url}/v1/chat/completions", content=body, headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (404 if param == "model" and "gpt-9" in body else 400, param)
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("status", "method", "path", "request_"),
    [
        (404, "GET", "/v1", {}),
        (404, "POST", "/v1/moderations", {"json": {}}),
        (404, "GET", "/v1/models/gpt-9", {}),
        (404, "GET", "/v1/models/", {}),
        (405, "GET", "/v1/chat/completions", {}),
        (400, "POST", "/v1/chat/completions", {"content": b"{", "headers": {"content-type": "application/json"}}),
        (400, "POST", "/v1/chat/completions", {"json": {"messages": USER}, "headers": {"x-stream-detach": "perhaps"}}),
        (400, "POST", "/v1/chat/completions", {"json": {"messages": USER}, "headers": {"idempotency-key": "x" * 256}}),
        (415, "POST", "/v1/chat/completions", {"data": {"messages": "x"}}),
        (413, "POST", "/v1/chat/completions", {"json": {"messages": "x" * 2_000_000}}),
        (403, "GET", "/v1/models", {"headers": {"host": "example.org"}}),
    ],
)
def test_every_refusal_of_v1_has_openais_shape(
    server: LiveServer, status: int, method: str, path: str, request_: dict[str, Any]
) -> None:
    answer = httpx.request(method, f"{server.url}{path}", **request_)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}


def test_a_path_that_only_begins_alike_keeps_its_own_shape(server: LiveServer) -> None:
    assert httpx.get(f"{server.url}/v10").headers["content-type"] == "application/problem+json"


def test_the_guard_refuses_in_openais_shape_too(serve: Serve, tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    server = serve(AUTH_MODE="api_key", DATA_DIR=ring.folder, RATE_LIMIT="2/day")
    nobody = post(server)
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (401, "invalid_api_key")
    assert nobody.json()["error"]["type"] == "authentication_error"
    reader = post(server, headers=bearer(ring.make("reader", frozenset({"read"}))))
    assert (reader.status_code, reader.json()["error"]["type"]) == (403, "permission_error")
    key = bearer(ring.make("ann"))
    assert [post(server, headers=key).status_code for _ in range(2)] == [200, 200]
    limited = post(server, headers=key)
    assert (limited.status_code, limited.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(limited.headers["retry-after-ms"]) == int(limited.headers["retry-after"]) * 1000
    assert "x-should-retry" not in limited.headers


def test_a_failure_nobody_foresaw_has_openais_shape(serve: Serve) -> None:
    server = serve()

    @server.app.get("/v1/broken")
    async def broken() -> None:
        raise RuntimeError("sk-secret")

    answer = httpx.get(f"{server.url}/v1/broken")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "sk-secret" not in answer.text


def test_the_models_are_listed_and_shown(serve_models: ServeModels) -> None:
    server = serve_models({"id": "simulated", "provider": "simulated"}, row("openai", "http://secret", id="a/b:1"))
    listed = httpx.get(f"{server.url}/v1/models")
    assert listed.json()["object"] == "list"
    assert [model["id"] for model in listed.json()["data"]] == ["simulated", "a/b:1"]
    one = httpx.get(f"{server.url}/v1/models/a/b:1")
    assert one.json() == listed.json()["data"][1]
    assert one.json() == {"id": "a/b:1", "object": "model", "created": 0, "owned_by": "openai"}
    assert "secret" not in listed.text


@pytest.mark.parametrize("stream", [True, False])
def test_a_drain_ends_both_kinds_of_answer_honestly(stream: bool) -> None:
    with process_server(STREAM_DELAY=60, DRAIN_TIMEOUT=0.5) as (process, url):
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(post(url, stream=stream)))
        asking.start()
        wait_for(lambda: len(process.log) > 1 or httpx.get(f"{url}/ready").status_code == 200)
        threading.Event().wait(0.5)  # until the answer has begun, of which a wait shows nothing
        assert process.stop() in (0, -15, 143)
        asking.join(timeout=20)
    (answer,) = answers
    if stream:
        read = completed(answer)
        assert (read.text, read.error and read.error["code"]) == ("This ", "server_draining")
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "server_draining")
        assert answer.headers["x-should-retry"] == "false"


def test_pages_may_use_openais_package(serve: Serve) -> None:
    origin = "https://page.example"
    server = serve(CORS_ORIGINS=origin)
    wanted = "authorization,content-type,x-stainless-lang,x-stainless-retry-count,x-stainless-timeout,x-stream-detach"
    asked = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": wanted}
    allowed = httpx.options(f"{server.url}/v1/chat/completions", headers=asked)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, origin)
    answer = post(server, headers={"origin": origin}, n=2)
    assert "x-should-retry" in answer.headers["access-control-expose-headers"].lower()
