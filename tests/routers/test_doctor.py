"""GET /chat/doctor: timed frames for whoever asks, within bounds."""

import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from services.upkeep.probes import MAX_AT_ONCE, MAX_OF_AN_ADDRESS
from tests.support.server import LiveServer, wait_for
from tests.support.sse import Message, parse

ID = "0123456789abcdef" * 2
FAST: dict[str, Any] = {"probe": ID, "frames": 4, "interval": 0.01}
SLOW: dict[str, Any] = {"probe": ID, "frames": 50, "interval": 0.5}

Serve = Callable[..., LiveServer]


@pytest.fixture
def server(serve: Serve) -> LiveServer:
    return serve(STREAM_HEARTBEAT=0.2)


def get(server: LiveServer, headers: dict[str, str] | None = None, **query: Any) -> httpx.Response:
    return httpx.get(f"{server.url}/chat/doctor", params={**FAST, **query}, headers=headers)


def numbers(messages: list[Message]) -> list[int]:
    return [json.loads(message.data)["number"] for message in messages if message.event == "frame"]


def state(server: LiveServer, probe: str = ID) -> Any:
    return httpx.get(f"{server.url}/chat/doctor/{probe}").json().get("state")


def test_frames_have_numbers_ids_and_the_servers_clock(server: LiveServer) -> None:
    start, *frames, done = parse(get(server, {"idempotency-key": "x"}).content)
    assert json.loads(start.data) == {
        "probe": ID, "frames": 4, "interval": 0.01, "heartbeat": 0.2, "silence": 0.22, "http_version": "1.1",
        "received": ["idempotency-key"],
    }  # fmt: skip
    assert [frame.last_event_id for frame in frames] == [f"{ID}-{number}" for number in (1, 2, 3, 4)]
    clock = [json.loads(frame.data)["at"] for frame in frames]
    assert all(at >= 0.01 * number for number, at in enumerate(clock))
    assert (done.event, json.loads(done.data)) == ("done", {"frames": 4})


def test_its_headers_are_those_of_a_real_stream(server: LiveServer) -> None:
    real = httpx.post(f"{server.url}/chat", json={"message": "Hi"})
    probe = get(server)
    own = ("date", "x-stream-id", "x-request-id")
    assert probe.headers["x-stream-id"] == ID
    assert [(k, v) for k, v in probe.headers.multi_items() if k not in own] == [
        (k, v) for k, v in real.headers.multi_items() if k not in own
    ]
    assert set(probe.headers) == set(real.headers)


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"last-event-id": f"{ID}-3"}, {}),
        ({}, {"last_event_id": f"{ID}-3"}),
        ({"last-event-id": f"{ID}-3"}, {"last_event_id": f"{ID}-1"}),
    ],
)
def test_it_goes_on_behind_the_cursor_and_the_header_counts_first(
    server: LiveServer, headers: dict[str, str], query: dict[str, str]
) -> None:
    assert numbers(parse(get(server, headers, **query).content)) == [4]


@pytest.mark.parametrize(
    ("cursor", "status"), [(f"{ID}-4", 204), (f"{ID}-5", 409), (f"{'f' * 32}-1", 400), ("three", 400)]
)
def test_a_cursor_at_the_end_or_of_something_else_is_answered_as_for_streams(
    server: LiveServer, cursor: str, status: int
) -> None:
    assert get(server, {"last-event-id": cursor}).status_code == status


def test_a_silent_one_says_nothing_for_longer_than_a_heartbeat_and_then_beats(server: LiveServer) -> None:
    body = get(server, silent=True, frames=2).text
    assert re.search(rf"id: {ID}-1\n\n: hb\nevent: frame\n", body)
    first, second = (json.loads(frame.data)["at"] for frame in parse(body.encode())[1:-1])
    assert second - first >= 0.22


@pytest.mark.parametrize("query", [{"frames": 51}, {"frames": 0}, {"interval": 0.6}, {"interval": 0}, {"probe": "x"}])
def test_what_would_be_long_or_large_is_refused(server: LiveServer, query: dict[str, Any]) -> None:
    assert get(server, **query).status_code == 422


def test_whether_the_client_hung_up_is_told(server: LiveServer) -> None:
    assert httpx.get(f"{server.url}/chat/doctor/{ID}").json()["code"] == "probe_not_found"
    with httpx.stream("GET", f"{server.url}/chat/doctor", params=SLOW) as stream:
        pieces = stream.iter_raw()  # who forgets it hangs up
        next(pieces)
        assert state(server) == "running"
    wait_for(lambda: state(server) == "left")
    get(server)
    wait_for(
        lambda: state(server) != "running"
    )  # the last frame may be here before the server has noted that it is sent
    assert state(server) == "ended"


def test_so_many_run_at_once_and_no_more(serve: Serve) -> None:
    server = serve(FORWARDED_ALLOW_IPS="127.0.0.1", ALLOW_UNAUTHENTICATED=True)
    last = {"x-forwarded-for": "192.0.2.200"}
    with ExitStack() as stack:
        for number in range(MAX_AT_ONCE):
            slow = httpx.stream(
                "GET",
                f"{server.url}/chat/doctor",
                params=SLOW,
                headers={"x-forwarded-for": f"192.0.2.{number // MAX_OF_AN_ADDRESS}"},
            )
            assert stack.enter_context(slow).status_code == 200
        refused = get(server, last)
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_probes")
        assert "retry-after" in refused.headers
    wait_for(lambda: get(server, last).status_code == 200)


def test_one_address_leaves_some_to_the_others(serve: Serve) -> None:
    server = serve(FORWARDED_ALLOW_IPS="127.0.0.1", ALLOW_UNAUTHENTICATED=True)
    one, other = ({"x-forwarded-for": address} for address in ("192.0.2.1", "192.0.2.2"))
    with ExitStack() as stack:
        for _ in range(MAX_OF_AN_ADDRESS):
            stack.enter_context(httpx.stream("GET", f"{server.url}/chat/doctor", params=SLOW, headers=one))
        assert get(server, one).json()["code"] == "too_many_probes"
        assert get(server, other).status_code == 200


def test_it_counts_against_the_addresss_rate(serve: Serve) -> None:
    server = serve(RATE_LIMIT_ADDRESS="2/minute")
    first, second, third = get(server), httpx.get(f"{server.url}/chat/doctor/{ID}"), get(server)
    assert (first.headers["ratelimit-remaining"], second.headers["ratelimit-remaining"]) == ("1", "0")
    assert (third.status_code, third.json()["code"]) == (429, "rate_limited")
    assert httpx.get(f"{server.url}/health").status_code == 200


def test_nobody_needs_a_key(serve: Serve) -> None:
    server = serve(AUTH_MODE="api_key")
    assert get(server).status_code == 200
    assert httpx.post(f"{server.url}/chat", json={"message": "Hi"}).status_code == 401
