"""Post a message, read the answer, come back for the rest: over real sockets, to the byte."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from domain.callers import LOCAL
from tests.support.server import LiveServer, wait_for
from tests.support.sse import Message, Parser, parse, text_of

TEXT = "This is a simulated streaming response"
Serve = Callable[..., LiveServer]


def post(server: LiveServer, **more: object) -> httpx.Response:
    params = {"format": str(more.pop("format", "text"))}
    headers: dict[str, str] = more.pop("headers", {})  # type: ignore[assignment]
    return httpx.post(
        f"{server.url}/chat", params=params, headers=headers, json={"message": "Tell me about streaming", **more}
    )


def follow(server: LiveServer, stream_id: str, **params: str | int) -> httpx.Response:
    headers = {name.replace("_", "-"): str(params.pop(name)) for name in ("last_event_id_", "accept") if name in params}
    if "last-event-id-" in headers:
        headers["last-event-id"] = headers.pop("last-event-id-")
    return httpx.get(f"{server.url}/chat/streams/{stream_id}", params=params, headers=headers)


def code_of(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status_code
    assert body["detail"].endswith(".")
    return response.status_code, body["code"]


@contextmanager
def held(server: LiveServer, **body: object) -> Iterator[tuple[str, httpx.Response]]:
    """A stream that has said its first word and waits a minute for the next; yields its id and its reader."""
    url, json_body = f"{server.url}/chat?format=events", {"message": "Tell me about streaming", **body}
    with httpx.stream("POST", url, json=json_body, timeout=30) as response:
        stream_id = response.headers["x-stream-id"]
        tail = server.call(lambda: server.services.streaming.find(LOCAL, stream_id))
        wait_for(lambda: len(tail.events) >= 2)
        yield stream_id, response


def test_the_text_wire_is_the_seeds_to_the_byte(serve: Serve) -> None:
    response = post(serve())
    words = ["This ", "is ", "a ", "simulated ", "streaming ", "response"]
    assert response.content == "".join(f"data: {word}\n\n" for word in words).encode()
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache, no-transform"
    assert response.headers["connection"] == "keep-alive"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-stream-id"])
    assert response.headers["x-request-id"]


def test_the_events_wire_tells_everything_with_dense_ids(serve: Serve) -> None:
    response = post(serve(), format="events")
    stream_id = response.headers["x-stream-id"]
    messages = parse(response.content)
    assert [message.event for message in messages] == ["start", *["delta"] * 6, "done"]
    assert [message.last_event_id for message in messages] == [f"{stream_id}-{seq}" for seq in range(1, 9)]
    start, done = json.loads(messages[0].data), json.loads(messages[-1].data)
    assert start["stream_id"] == stream_id
    assert start["model"] == "simulated"
    assert start["resume"] == f"/chat/streams/{stream_id}"
    assert start["cancel"] == f"/chat/streams/{stream_id}/cancel"
    assert "".join(json.loads(message.data)["text"] for message in messages[1:-1]) == TEXT
    usage = {"input_tokens": 4, "output_tokens": 6, "exact": False}
    assert done == {"finish_reason": "stop", "model": "simulated", "usage": usage, "cost": None}


def test_resuming_after_every_event_gives_exactly_the_rest(serve: Serve) -> None:
    server = serve()
    whole = post(server, format="events")
    stream_id = whole.headers["x-stream-id"]
    messages = parse(whole.content)
    for seq in range(len(messages)):
        by_header = follow(server, stream_id, last_event_id_=f"{stream_id}-{seq}", after=3)
        by_query = follow(server, stream_id, last_event_id=f"{stream_id}-{seq}", after=3)
        by_number = follow(server, stream_id, after=seq)
        for answer in (by_header, by_query, by_number):
            assert parse(answer.content) == messages[seq:]
    assert follow(server, stream_id, after=len(messages)).status_code == 204


def test_resuming_the_text_wire_after_every_block_gives_exactly_the_rest(serve: Serve) -> None:
    server = serve(SIMULATED_TEXT="one\r \ntwo\r\n three \r")
    whole = post(server)
    stream_id = whole.headers["x-stream-id"]
    blocks = [message.data for message in parse(whole.content)]
    assert "".join(blocks) == "one\n \ntwo\n three \n"
    for count in range(len(blocks)):
        rest = follow(server, stream_id, format="text", after=count)
        assert [message.data for message in parse(rest.content)] == blocks[count:]


def test_a_text_client_that_has_all_the_words_gets_a_clean_empty_end(serve: Serve) -> None:
    server = serve()
    stream_id = post(server).headers["x-stream-id"]
    answer = follow(server, stream_id, format="text", after=6)
    assert (answer.status_code, answer.content) == (200, b"")


def test_the_header_beats_the_query_and_the_query_beats_after(serve: Serve) -> None:
    server = serve()
    stream_id = post(server).headers["x-stream-id"]
    answer = follow(server, stream_id, last_event_id_=f"{stream_id}-7", last_event_id=f"{stream_id}-1", after=2)
    assert [message.event for message in parse(answer.content)] == ["done"]
    answer = follow(server, stream_id, last_event_id=f"{stream_id}-7", after=2)
    assert [message.event for message in parse(answer.content)] == ["done"]


def test_several_readers_on_different_wires_read_one_running_stream(serve: Serve) -> None:
    server = serve(STREAM_DELAY=0.05)
    with httpx.stream("POST", f"{server.url}/chat", json={"message": "x"}) as first:
        stream_id = first.headers["x-stream-id"]
        second = follow(server, stream_id)
        third = follow(server, stream_id, format="text")
        assert text_of(first.read()) == text_of(third.content) == TEXT
    assert "".join(json.loads(m.data)["text"] for m in parse(second.content) if m.event == "delta") == TEXT


def test_a_cut_client_reads_the_rest_of_a_stream_that_went_on_without_it(serve: Serve) -> None:
    server = serve(STREAM_DELAY=0.02)
    parser = Parser()
    with httpx.stream("POST", f"{server.url}/chat?format=events", json={"message": "x"}) as response:
        for chunk in response.iter_raw():
            parser.feed(chunk)
            if len(parser.messages) >= 3:
                break  # leaving the block closes the connection
    cursor = parser.messages[-1].last_event_id
    rest = follow(server, cursor.partition("-")[0], last_event_id_=cursor)
    seen = [*parser.messages, *parse(rest.content)]
    assert [int(message.last_event_id.partition("-")[2]) for message in seen] == list(range(1, 9))
    assert seen[-1].event == "done"


def test_polling_gets_the_state_as_json(serve: Serve) -> None:
    server = serve(STREAM_DELAY=60)
    with held(server) as (stream_id, _):
        running = follow(server, stream_id, accept="application/json").json()
        assert running == {"stream_id": stream_id, "state": "running", "last_seq": 2, "text": "This "}
        httpx.post(f"{server.url}/chat/streams/{stream_id}/cancel")
    ended = follow(server, stream_id, accept="text/html, application/json;q=0.9").json()
    assert ended["state"] == "cancelled"
    assert ended["reason"] == "requested"
    assert ended["usage"] == {"input_tokens": 4, "output_tokens": 1, "exact": False}


def test_cancel_stops_the_stream_for_every_reader_and_is_idempotent(serve: Serve) -> None:
    server = serve(STREAM_DELAY=60)
    with held(server) as (stream_id, reader):
        for _ in range(2):
            answer = httpx.post(f"{server.url}/chat/streams/{stream_id}/cancel")
            assert answer.status_code == 202
            assert answer.json()["state"] == "cancelled"
        last = parse(reader.read())[-1]
    assert last.event == "cancelled"
    assert json.loads(last.data)["reason"] == "requested"
    text = follow(server, stream_id, format="text")
    assert [message.event for message in parse(text.content)] == ["message", "cancelled"]


def test_cancelling_a_finished_stream_answers_its_outcome(serve: Serve) -> None:
    server = serve()
    stream_id = post(server).headers["x-stream-id"]
    answer = httpx.post(f"{server.url}/chat/streams/{stream_id}/cancel")
    assert (answer.status_code, answer.json()["state"], answer.json()["text"]) == (202, "completed", TEXT)


def test_wrong_cursors_and_ids_are_refused_by_name(serve: Serve) -> None:
    server = serve()
    stream_id = post(server).headers["x-stream-id"]
    other = "0" * 32
    assert code_of(follow(server, "nonsense")) == (400, "malformed_stream_id")
    assert code_of(follow(server, other)) == (404, "stream_not_found")
    assert code_of(follow(server, stream_id, last_event_id_="nonsense")) == (400, "malformed_cursor")
    assert code_of(follow(server, stream_id, last_event_id_="x" * 500)) == (400, "malformed_cursor")
    assert code_of(follow(server, stream_id, last_event_id_=f"{other}-1")) == (400, "malformed_cursor")
    assert code_of(follow(server, stream_id, last_event_id_=f"{stream_id}-9")) == (409, "cursor_ahead")
    assert code_of(follow(server, stream_id, after=9)) == (409, "cursor_ahead")
    assert code_of(follow(server, stream_id, format="text", after=99)) == (409, "cursor_ahead")
    assert code_of(follow(server, stream_id, after=-1)) == (422, "invalid_request")
    assert code_of(httpx.post(f"{server.url}/chat/streams/{other}/cancel")) == (404, "stream_not_found")
    assert code_of(httpx.post(f"{server.url}/chat/streams/x/cancel")) == (400, "malformed_stream_id")


def test_a_repeated_post_with_a_last_event_id_resumes_and_never_starts_anew(serve: Serve) -> None:
    server = serve()
    whole = post(server, format="events")
    stream_id = whole.headers["x-stream-id"]
    messages: list[Message] = parse(whole.content)

    def repost(cursor: str, **more: object) -> httpx.Response:
        return post(server, format="events", headers={"last-event-id": cursor}, **more)

    assert parse(repost(f"{stream_id}-3").content) == messages[3:]
    past = repost(f"{stream_id}-8")
    assert (past.status_code, past.content) == (200, b"")
    assert past.headers["content-type"] == "text/event-stream; charset=utf-8"
    gone = repost(f"{'0' * 32}-3")
    assert gone.status_code == 200
    (message,) = parse(gone.content)
    assert (message.event, message.last_event_id) == ("error", "")
    assert json.loads(message.data)["code"] == "stream_gone"
    assert code_of(repost(f"{stream_id}-3", message="another")) == (422, "message_mismatch")
    assert code_of(repost("nonsense")) == (400, "malformed_cursor")
    assert code_of(repost(f"{stream_id}-9")) == (409, "cursor_ahead")
    assert len(server.log) == 1, "nothing but the first stream was ever started"


@pytest.mark.parametrize(
    "accept", ["*/*", "text/event-stream", "", "application/json;q=0, */*", "application/json-patch+json"]
)
def test_any_other_accept_gets_the_stream(serve: Serve, accept: str) -> None:
    server = serve()
    stream_id = post(server).headers["x-stream-id"]
    assert follow(server, stream_id, accept=accept).headers["content-type"].startswith("text/event-stream")
