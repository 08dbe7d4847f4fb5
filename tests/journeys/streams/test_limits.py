"""The limits of a stream and of the server, each with its own code (T09)."""

import json
from collections.abc import Callable

import httpx
import pytest

from domain.callers import LOCAL
from services.streams.readers import MAX_PER_STREAM
from tests.journeys.streams.test_reading import code_of, follow, held, post
from tests.support.server import LiveServer, wait_for
from tests.support.sse import parse

Serve = Callable[..., LiveServer]


def ending(response: httpx.Response) -> tuple[str, str]:
    last = parse(response.content)[-1]
    return last.event, json.loads(last.data)["code"]


@pytest.mark.parametrize("wire", ["text", "events"])
def test_a_stream_may_not_last_longer_than_its_clock(serve: Serve, wire: str) -> None:
    server = serve(STREAM_DELAY=60, STREAM_MAX_SECONDS=0.1)
    assert ending(post(server, format=wire)) == ("error", "stream_timeout")


def test_a_stream_may_not_have_more_events_than_its_limit(serve: Serve) -> None:
    response = post(serve(STREAM_MAX_EVENTS=5), format="events")
    assert ending(response) == ("error", "log_limit")
    assert len(parse(response.content)) == 5


def test_a_model_that_says_more_bytes_than_the_limit_is_stopped(serve: Serve) -> None:
    response = post(serve(STREAM_MAX_BYTES=38))
    assert parse(response.content)[-1].event == "message", "38 bytes is exactly the default text"


def test_one_stream_too_many_is_told_to_come_back(serve: Serve) -> None:
    server = serve(STREAM_DELAY=60, MAX_STREAMS=1)
    with held(server) as (stream_id, _):
        refused = post(server)
        assert code_of(refused) == (503, "too_many_streams")
        assert int(refused.headers["retry-after"]) > 0
        httpx.post(f"{server.url}/chat/streams/{stream_id}/cancel")
    assert parse(post(serve(MAX_STREAMS=1)).content)


def test_one_reader_too_many_is_told_to_come_back(serve: Serve) -> None:
    server = serve(STREAM_DELAY=60)
    with held(server) as (stream_id, _):
        tail = server.call(lambda: server.services.streaming.find(LOCAL, stream_id))
        tail.followers.extend(tail.followers * (MAX_PER_STREAM - 1))
        refused = follow(server, stream_id)
        del tail.followers[1:]
        assert code_of(refused) == (503, "too_many_readers")
        assert int(refused.headers["retry-after"]) > 0


def test_a_message_that_is_too_long_is_refused_with_its_limit(serve: Serve) -> None:
    server = serve(MAX_MESSAGE_CHARS=10)
    response = post(server, message="x" * 11)
    assert code_of(response) == (422, "message_too_long")
    assert response.json()["errors"][0]["pointer"] == "#/message"
    assert "at most 10" in response.json()["detail"]
    assert post(server, message="x" * 10).status_code == 200


def test_a_body_that_is_too_large_is_refused_with_or_without_its_length(serve: Serve) -> None:
    server = serve(MAX_BODY_BYTES=100)
    body = json.dumps({"message": "x"}).encode()
    fits, over = body.ljust(100), body.ljust(101)

    def in_chunks(data: bytes) -> httpx.Response:
        pieces = (data[place : place + 30] for place in range(0, len(data), 30))
        return httpx.post(f"{server.url}/chat", content=pieces, headers={"content-type": "application/json"})

    def whole(data: bytes) -> httpx.Response:
        return httpx.post(f"{server.url}/chat", content=data, headers={"content-type": "application/json"})

    for send in (whole, in_chunks):
        assert send(fits).status_code == 200
        assert code_of(send(over)) == (413, "body_too_large")


def test_retention_lets_go_of_finished_streams(serve: Serve) -> None:
    server = serve(STREAM_RETENTION=0.05)
    stream_id = post(server).headers["x-stream-id"]
    wait_for(lambda: follow(server, stream_id).status_code == 404)
    assert code_of(follow(server, stream_id)) == (404, "stream_not_found")
