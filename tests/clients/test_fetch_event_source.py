"""@microsoft/fetch-event-source against a real server: cut anywhere, it ends with the exact text."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings

from tests.clients.node import Node
from tests.support.effort import examples
from tests.support.proxy import CuttingProxy, cutting_proxy
from tests.support.server import LiveServer, live_server, make_settings
from tests.wires.samples import TEXTS, TROUBLE

Serve = Callable[..., LiveServer]

WORDS = ["zero ", "one\n", "two\r\n", "\ufeffthree\u2028", "f\u00f6ur\u0085", "data: ", "\U0001f600 ", "seven\r"]
TEXT = "".join(WORDS)
LAST = len(WORDS) + 2
QUESTION = {"message": "Say it all"}


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(make_settings(SIMULATED_TEXT=TEXT, STREAM_DELAY=0.005)) as server:
        yield server


def follow(node: Node, url: str, **more: Any) -> dict[str, Any]:
    """Post, and read to the end whatever happens to the connection."""
    return node.ask("follow", url=f"{url}/chat?format=events", body=QUESTION, **more)  # type: ignore[no-any-return]


def assert_whole(answer: dict[str, Any]) -> None:
    """Every event of one stream came once and in order, and the text is exact."""
    events = answer["events"]
    stream = json.loads(events[0]["data"])["stream_id"]
    assert [event["id"] for event in events] == [f"{stream}-{seq}" for seq in range(1, LAST + 1)]
    assert [event["event"] for event in events] == ["start", *["delta"] * len(WORDS), "done"]
    assert "".join(json.loads(event["data"])["text"] for event in events[1:-1]) == TEXT


def cursors(proxy: CuttingProxy) -> list[int | None]:
    """The number in the Last-Event-ID of each connection's request."""
    found = [re.search(rb"(?im)^last-event-id: [0-9a-f]{32}-([0-9]+)\r$", request) for request in proxy.requests]
    return [int(match[1]) if match else None for match in found]


def test_it_reads_the_whole_answer_and_does_not_come_back(node: Node, server: LiveServer) -> None:
    answer = follow(node, server.url)
    assert_whole(answer)
    assert answer["requests"] == 1


@pytest.mark.parametrize("seq", range(1, LAST + 1))
def test_cut_right_behind_event_k_it_comes_back_for_the_rest(node: Node, server: LiveServer, seq: int) -> None:
    with cutting_proxy(server.port, rb"id: [0-9a-f]+-%d\n\n" % seq) as proxy:
        answer = follow(node, proxy.url)
        assert_whole(answer)
        assert cursors(proxy) == [None, seq]
        assert 1000 <= answer["waits"][0] <= 3000


@pytest.mark.parametrize("seq", [2, 5, LAST])
@pytest.mark.parametrize(
    "place", [rb"eve", rb"event: [a-z]+\nda", rb'event: [a-z]+\ndata: {"[^\n]', rb"[^\n]+\n[^\n]+\nid: .{32}-"]
)
def test_cut_inside_an_event_it_reads_that_event_once(node: Node, server: LiveServer, seq: int, place: bytes) -> None:
    with cutting_proxy(server.port, rb"-%d\n\n.*?%b" % (seq - 1, place)) as proxy:
        assert_whole(follow(node, proxy.url))
        assert cursors(proxy) == [None, seq - 1]


def test_cut_again_and_again_it_ends_with_the_exact_text(node: Node, server: LiveServer) -> None:
    cuts = [rb"-%d\n\n.*?" % seq for seq in (1, 2, 5, 6, 9, 10)]
    with cutting_proxy(server.port, *cuts) as proxy:
        answer = follow(node, proxy.url)
        assert_whole(answer)
        assert cursors(proxy) == [None, 1, 2, 5, 6, 9, 10]


@pytest.mark.parametrize("size", [1, 150, 330])
def test_cut_before_the_first_event_it_starts_over_and_reads_one_answer(
    node: Node, server: LiveServer, size: int
) -> None:
    with cutting_proxy(server.port, rb"\A.{%d}" % size) as proxy:
        assert_whole(follow(node, proxy.url))
        assert cursors(proxy) == [None, None]


@settings(deadline=None, max_examples=examples(10))
@given(text=TEXTS)
@example(text="".join(TROUBLE))
def test_any_text_is_read_exactly_through_a_cut(node: Node, text: str) -> None:
    with (
        live_server(make_settings(SIMULATED_TEXT=text, STREAM_DELAY=0)) as server,
        cutting_proxy(server.port, rb"-2\n\n") as proxy,
    ):
        events = follow(node, proxy.url)["events"]
        assert [int(event["id"].rpartition("-")[2]) for event in events] == list(range(1, len(events) + 1))
        assert "".join(json.loads(event["data"])["text"] for event in events[1:-1]) == text
        assert events[-1]["event"] == "done"


def test_heartbeats_of_a_silent_stream_reach_nobody(node: Node, serve: Serve) -> None:
    server = serve(SIMULATED_TEXT="one two three", STREAM_DELAY=0.1, STREAM_HEARTBEAT=0.02)
    with cutting_proxy(server.port) as proxy:
        answer = follow(node, proxy.url)
        assert [event["event"] for event in answer["events"]] == ["start", "delta", "delta", "delta", "done"]
        assert b": hb\n" in proxy.answers[0]


def test_come_back_to_a_stream_that_is_gone_it_is_told_so_and_stops(node: Node, server: LiveServer) -> None:
    answer = follow(node, server.url, headers={"last-event-id": f"{'0' * 32}-3"})
    (event,) = answer["events"]
    assert event["event"] == "error"
    assert json.loads(event["data"])["code"] == "stream_gone"
    assert answer["requests"] == 1


def test_come_back_after_the_end_it_stops(node: Node, server: LiveServer) -> None:
    end = follow(node, server.url)["events"][-1]["id"]
    answer = follow(node, server.url, headers={"last-event-id": end})
    assert answer == {"events": [], "waits": [], "requests": 1}
