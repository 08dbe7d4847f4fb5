"""What clients of the AI SDK and of AG-UI are told when they are refused, and what the wires have in common."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from domain.messages import new_id
from tests.support.server import LiveServer
from tests.support.sse import parse, text_of

Serve = Callable[..., LiveServer]
ANSWER = "This is a simulated streaming response"
JSON = {"content-type": "application/json"}


def ui(text: str = "Hi", id: str = "1", role: str = "user") -> dict[str, Any]:
    """A message of the AI SDK's."""
    return {"id": id, "role": role, "parts": [{"type": "step-start"}, {"type": "text", "text": text}]}


def chat(server: LiveServer, *messages: dict[str, Any], chat_id: str | None = None, **more: Any) -> httpx.Response:
    """Post a chat of the AI SDK."""
    body = {"id": chat_id or new_id(), "messages": list(messages or [ui()]), "trigger": "submit-message", **more}
    return httpx.post(f"{server.url}/api/chat", json=body, timeout=20)


def run(server: LiveServer, text: str = "Hi", thread: str | None = None, **more: Any) -> httpx.Response:
    """Post a run of AG-UI's."""
    messages = [{"id": "1", "role": "user", "content": text}]
    body = {"threadId": thread or new_id(), "runId": "r", "messages": messages, **more}
    return httpx.post(f"{server.url}/ag-ui", json=body, timeout=20)


def read(body: bytes) -> str:
    """The answer in a body of either wire."""
    parts = [json.loads(message.data) for message in parse(body) if message.data != "[DONE]"]
    said = ("text-delta", "TEXT_MESSAGE_CONTENT")
    return "".join(part["delta"] for part in parts if part["type"] in said)


def history(server: LiveServer, chat_id: str, **params: Any) -> list[dict[str, Any]]:
    """What was said in the chat."""
    sessions = httpx.get(f"{server.url}/sessions?limit=200").json()["items"]
    (session_id,) = [each["id"] for each in sessions if each.get("client_id") == chat_id]
    return httpx.get(f"{server.url}/chat/history/{session_id}", params=params).json()["items"]  # type: ignore[no-any-return]


def test_an_answer_says_on_which_wire_it_is(serve: Serve) -> None:
    answer = chat(serve())
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert read(answer.content) == ANSWER


@pytest.mark.parametrize("start", [chat, run])
def test_one_stream_is_read_on_all_wires_whatever_it_was_started_on(
    serve: Serve, start: Callable[[LiveServer], httpx.Response]
) -> None:
    server = serve()
    native = httpx.post(f"{server.url}/chat", json={"message": "Hi"})
    for answer in (start(server), native):
        stream = f"{server.url}/chat/streams/{answer.headers['x-stream-id']}"
        for wire in ("ai_sdk", "ag_ui"):
            again = httpx.get(stream, params={"format": wire})
            assert read(again.content) == ANSWER
            assert ("x-vercel-ai-ui-message-stream" in again.headers) == (wire == "ai_sdk")
        assert text_of(httpx.get(stream, params={"format": "text"}).content) == ANSWER
        events = parse(httpx.get(stream, params={"format": "events"}).content)
        assert [event.event for event in events][:: len(events) - 1] == ["start", "done"]


REFUSALS: list[tuple[int, str, str, dict[str, Any], str]] = [
    (400, "POST", "", {"content": b"{", "headers": JSON}, "not valid JSON"),
    (415, "POST", "", {"content": b"{}", "headers": {"content-type": "text/plain"}}, "application/json"),
    (413, "POST", "", {"content": b"x" * 20_000, "headers": JSON}, "at most 10000 bytes"),
    (405, "DELETE", "", {}, "does not take that method"),
    (422, "POST", "", {"json": {}}, ""),
    (422, "POST", "", {"json": []}, ""),
    (422, "POST", "", {"json": {f"field{number}": 1 for number in range(110)}}, ""),
    (403, "POST", "", {"json": {}, "headers": {"host": "evil.example"}}, "this machine"),
]
ONLY_CHAT: list[tuple[int, str, str, dict[str, Any], str]] = [
    (404, "GET", "/nowhere/at/all", {}, "nothing at this path"),
    (404, "POST", "/unknown/stop", {}, "No such session"),
    (422, "POST", "", {"json": {"id": "x", "messages": []}}, "The last message must be the user's."),
    (422, "POST", "", {"json": {"id": "x", "messages": [ui(role="assistant")]}}, "must be the user's."),
    (422, "POST", "", {"json": {"id": "x", "messages": [ui(" \n")]}}, "The last message has no text."),
    (422, "POST", "", {"json": {"id": " ", "messages": [ui()]}}, "id: This is blank"),
    (422, "POST", "", {"json": {"id": "x" * 201, "messages": [ui()]}}, "id: "),
    (422, "POST", "", {"json": {"id": "x", "messages": [{"id": "1", "role": "user", "parts": [1] * 600}]}}, "messages"),
    (404, "POST", "", {"json": {"id": "x", "messages": [ui()], "model": "nothing"}}, "There is no model"),
    (422, "POST", "", {"json": {"id": "x", "messages": [ui(role="system"), ui()]}}, "does not take 'system'"),
]
ONLY_RUNS: list[tuple[int, str, str, dict[str, Any], str]] = [
    (422, "POST", "", {"json": {"threadId": "x", "runId": "r"}}, "messages: Field required"),
    (422, "POST", "", {"json": {"threadId": "x", "messages": []}}, "runId is a text"),
    (422, "POST", "", {"json": {"threadId": "x", "runId": "r", "messages": []}}, "must be the user's."),
    (422, "POST", "", {"json": {"threadId": "x", "runId": "r", "messages": [1]}}, "A message is an object"),
    (422, "POST", "", {"json": {"threadId": "x", "runId": "r", "messages": [{}] * 1001}}, "at most 1000 items"),
    (422, "POST", "", {"json": {"threadId": "x", "runId": "r", "messages": [{"role": "nobody"}]}}, "messages/0"),
    (
        422, "POST", "",
        {"json": {"threadId": "x", "runId": "r", "messages": [{"content": [1] * 4_999}, {"toolCalls": [1, 1]}]}},
        "at most 5000 parts",
    ),
]  # fmt: skip
ALL = [("/api/chat", *each) for each in REFUSALS + ONLY_CHAT] + [("/ag-ui", *each) for each in REFUSALS + ONLY_RUNS]


@pytest.mark.parametrize(("path", "status", "method", "more", "request_", "said"), ALL)
def test_a_refusal_is_one_short_sentence(
    serve: Serve, path: str, status: int, method: str, more: str, request_: dict[str, Any], said: str
) -> None:
    server = serve(MAX_BODY_BYTES=10_000 if status == 413 else 1_000_000)
    refused = httpx.request(method, f"{server.url}{path}{more}", **request_)
    assert refused.status_code == status, refused.text
    assert refused.headers["content-type"] == "text/plain; charset=utf-8"
    assert said in refused.text
    assert len(refused.text) <= 500
    assert "\n" not in refused.text


@pytest.mark.parametrize("path", ["/api/chat", "/ag-ui"])
def test_the_same_key_and_request_start_one_stream(serve: Serve, path: str) -> None:
    server = serve()
    body = {
        "/api/chat": {"id": "mine", "messages": [ui()]},
        "/ag-ui": {"threadId": "mine", "runId": "r", "messages": [{"id": "1", "role": "user", "content": "Hi"}]},
    }[path]
    first, second = (httpx.post(f"{server.url}{path}", json=body, headers={"idempotency-key": "k"}) for _ in range(2))
    assert first.headers["x-stream-id"] == second.headers["x-stream-id"]
    assert first.content == second.content
    assert second.headers["idempotent-replayed"] == "true"
    assert len(history(server, "mine", all=True)) == 2
    other = {**body, "id": "other", "threadId": "other"}
    refused = httpx.post(f"{server.url}{path}", json=other, headers={"idempotency-key": "k"})
    assert refused.status_code == 422
    bad = httpx.Headers({"idempotency-key": "\u00e9"}, encoding="latin-1")
    assert httpx.post(f"{server.url}{path}", json=body, headers=bad).status_code == 422


def test_a_client_may_number_the_messages_of_each_of_its_chats_from_one(serve: Serve) -> None:
    server = serve()
    for chat_id in ("first", "second"):
        answer = chat(server, ui("one", "1"), chat_id=chat_id)
        reply = {**ui(ANSWER, json.loads(parse(answer.content)[0].data)["messageId"]), "role": "assistant"}
        assert read(chat(server, ui("one", "1"), reply, ui("two", "2"), chat_id=chat_id).content) == ANSWER
        chat(server, ui("one", "1"), trigger="regenerate-message", chat_id=chat_id)
        chat(server, ui("eins", "1"), messageId="1", chat_id=chat_id)
        assert [each["text"] for each in history(server, chat_id)] == ["eins", ANSWER]
        assert len(history(server, chat_id, all=True)) == 7


def test_a_client_may_send_its_newest_message_alone(serve: Serve) -> None:
    server = serve()
    for text in ("one", "two"):
        body = {"id": "mine", "message": ui(text, text)}
        assert httpx.post(f"{server.url}/api/chat", json=body).status_code == 200
    assert [each["text"] for each in history(server, "mine")] == ["one", ANSWER, "two", ANSWER]


def test_both_wires_and_our_own_go_on_with_one_conversation(serve: Serve) -> None:
    server = serve()
    chat(server, ui("one", "a"), chat_id="mine")
    run(server, "two", thread="mine")
    session = httpx.post(f"{server.url}/sessions", json={"client_id": "mine"}).json()["id"]
    httpx.post(f"{server.url}/chat", json={"message": "three", "session_id": session})
    assert [each["text"] for each in history(server, "mine")][::2] == ["one", "two", "three"]


def test_of_many_first_messages_at_once_one_opens_the_chat(serve: Serve) -> None:
    server = serve(STREAM_DELAY=0.02)
    answers: list[httpx.Response] = []
    threads = [
        threading.Thread(
            target=lambda number=number: answers.append(chat(server, ui("Hi", str(number)), chat_id="mine"))
        )
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert {answer.status_code for answer in answers} <= {200, 409}
    said = history(server, "mine", all=True)
    assert len([each for each in said if each["role"] == "user"]) == sum(a.status_code == 200 for a in answers) >= 1


def test_a_chat_that_is_posted_twice_is_answered_once(serve: Serve) -> None:
    """A page that renders twice, or a client that sends again what it had no answer to."""
    server = serve(STREAM_DELAY=0.05)
    body = {"id": "mine", "messages": [ui()], "trigger": "submit-message"}
    with httpx.stream("POST", f"{server.url}/api/chat", json=body) as first:
        second = httpx.post(f"{server.url}/api/chat", json=body)
        assert first.read() == second.content
    late = httpx.post(f"{server.url}/api/chat", json=body)
    assert late.content == second.content
    assert [answer.headers.get("idempotent-replayed") for answer in (first, second, late)] == [None, "true", "true"]
    assert len(history(server, "mine", all=True)) == 2
    httpx.post(f"{server.url}/api/chat", json={**body, "messageId": "1"})
    httpx.post(f"{server.url}/api/chat", json={**body, "trigger": "regenerate-message"})
    assert len(history(server, "mine", all=True)) == 4, "what is asked for is done"


def test_what_came_to_nothing_is_answered_anew_when_it_is_sent_again(serve: Serve) -> None:
    server = serve(STREAM_DELAY=0.05)
    body = {"id": "mine", "messages": [ui()]}
    with httpx.stream("POST", f"{server.url}/api/chat", json=body) as first:
        httpx.post(f"{server.url}/api/chat/mine/stop")
        first.read()
    assert read(httpx.post(f"{server.url}/api/chat", json=body).content) == ANSWER
    assert [each["state"] for each in history(server, "mine", all=True)] == ["complete", "cancelled", "complete"]


def test_one_new_chat_posted_many_times_at_once_has_one_answer(serve: Serve) -> None:
    server = serve(STREAM_DELAY=0.05)
    answers: list[httpx.Response] = []
    threads = [
        threading.Thread(target=lambda: answers.append(chat(server, ui("Hi"), chat_id="mine"))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert [answer.status_code for answer in answers] == [200] * 6
    assert len({answer.content for answer in answers}) == 1
    assert len(history(server, "mine", all=True)) == 2


def test_an_answer_is_told_again_by_a_server_that_has_started_anew(serve: Serve, tmp_path: Path) -> None:
    """A page may come back after that for the whole of an answer of which it has half."""
    server = serve(DATA_DIR=tmp_path / "data", STREAM_DELAY=0.05)
    whole = chat(server, ui("one", "1"), chat_id="whole")
    body = {"id": "half", "messages": [ui("two", "2")]}
    with httpx.stream("POST", f"{server.url}/api/chat", json=body) as stopped:
        blocks = stopped.iter_lines()
        said = next(json.loads(line[6:])["delta"] for line in blocks if "text-delta" in line)
        httpx.post(f"{server.url}/api/chat/half/stop")
        said += "".join(json.loads(line[6:])["delta"] for line in blocks if "text-delta" in line)
    anew = serve(DATA_DIR=tmp_path / "data")
    again = httpx.get(f"{anew.url}/api/chat/whole/stream")
    assert read(again.content) == ANSWER
    before, now = ([parse(answer.content)[at].data for at in (0, -2)] for answer in (whole, again))
    assert before == now, "the same message, ended in the same way"
    half = httpx.get(f"{anew.url}/api/chat/half/stream")
    assert read(half.content) == said
    assert [json.loads(message.data)["type"] for message in parse(half.content)[-3:-1]] == ["abort", "finish"]


@pytest.mark.parametrize("chat_id", ["a/b/stream", "é ü?", "%2F", "x" * 200])
def test_a_chat_may_have_any_name(serve: Serve, chat_id: str) -> None:
    server = serve()
    assert chat(server, chat_id=chat_id).status_code == 200
    path = f"{server.url}/api/chat/{quote(chat_id, safe='')}"
    assert read(httpx.get(f"{path}/stream").content) == ANSWER
    assert httpx.post(f"{path}/stop").status_code == 204


def test_heartbeats_change_nothing(serve: Serve) -> None:
    server = serve(STREAM_DELAY=0.05, STREAM_HEARTBEAT=0.01)
    for answer in (chat(server), run(server)):
        assert b": hb\n" in answer.content
        assert read(answer.content) == ANSWER
