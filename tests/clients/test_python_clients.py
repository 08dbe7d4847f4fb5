"""Python clients read a real server's answers, and both wires in pieces of every size."""

import json
from collections.abc import Callable, Generator, Iterator

import httpx
import pytest
from httpx_sse import EventSource, ServerSentEvent, connect_sse
from hypothesis import example, given, settings
from sseclient import SSEClient

from domain.events import Terminal
from tests.support.effort import examples
from tests.support.server import live_server, make_settings
from tests.wires.samples import (
    DELTAS,
    DONE,
    ENDING_NAMES,
    ENDINGS,
    STREAM_ID,
    TEXTS,
    TROUBLE,
    TROUBLE_IN_SHORT,
    blocks,
    body,
    pieces,
    with_lf,
)
from wires.table import WIRES, Format

Read = tuple[str, str, str | None]
"""An event's name, data and id."""


def with_httpx_sse(parts: list[bytes]) -> list[Read]:
    response = httpx.Response(200, headers={"content-type": "text/event-stream; charset=utf-8"}, content=iter(parts))
    return [(event.event, event.data, event.id or None) for event in EventSource(response).iter_sse()]


def with_sseclient(parts: list[bytes]) -> list[Read]:
    def source() -> Generator[bytes, None, None]:
        yield from parts

    return [(event.event, event.data, event.id) for event in SSEClient(source()).events()]


every_client = pytest.mark.parametrize("client", [with_httpx_sse, with_sseclient])
Client = Callable[[list[bytes]], list[Read]]


@every_client
@settings(deadline=None, max_examples=examples(15))
@given(deltas=DELTAS, end=ENDINGS)
@example(deltas=TROUBLE_IN_SHORT, end=DONE)
def test_a_client_reads_every_event_in_pieces_of_every_size(client: Client, deltas: list[str], end: Terminal) -> None:
    whole = body("events", deltas, end)
    names = ["start", *["delta"] * len(deltas), ENDING_NAMES[type(end)]]
    ids = [f"{STREAM_ID}-{seq}" for seq in range(1, len(names) + 1)]
    for size in range(1, len(whole) + 1):
        events = client(pieces(whole, size))
        assert [(name, event_id) for name, _, event_id in events] == list(zip(names, ids, strict=True))
        assert [json.loads(data)["text"] for _, data, _ in events[1:-1]] == deltas


@every_client
@settings(deadline=None, max_examples=examples(40))
@given(deltas=DELTAS)
@example(deltas=TROUBLE_IN_SHORT)
def test_a_client_joins_the_text_in_pieces_of_every_size(client: Client, deltas: list[str]) -> None:
    whole = body("text", deltas)
    for size in range(1, len(whole) + 1):
        assert "".join(data for _, data, _ in client(pieces(whole, size))) == with_lf("".join(deltas))


@every_client
@pytest.mark.parametrize("format", WIRES)
def test_heartbeats_change_nothing_for_a_client(client: Client, format: Format) -> None:
    written = blocks(body(format, ["one ", "two\n", "three"]))
    beat = WIRES[format].heartbeat
    quiet, beating = b"".join(written), beat + beat.join(written)
    for size in range(1, len(beating) + 1):
        assert client(pieces(beating, size)) == client([quiet])


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client() as client:
        yield client


@settings(deadline=None, max_examples=examples(15))
@given(text=TEXTS)
@example(text="".join(TROUBLE))
def test_every_client_reads_any_text_exactly_from_a_real_server(http: httpx.Client, text: str) -> None:
    def ask(format: Format) -> Generator[bytes, None, None]:
        with http.stream("POST", f"{server.url}/chat?format={format}", json={"message": "Hello"}) as response:
            yield from response.iter_bytes()

    def ask_httpx_sse(format: Format) -> list[ServerSentEvent]:
        with connect_sse(http, "POST", f"{server.url}/chat?format={format}", json={"message": "Hello"}) as source:
            return list(source.iter_sse())

    with live_server(make_settings(SIMULATED_TEXT=text, STREAM_DELAY=0)) as server:
        assert "".join(event.data for event in ask_httpx_sse("text")) == with_lf(text)
        assert "".join(event.data for event in SSEClient(ask("text")).events()) == with_lf(text)

        _, *deltas, end = ask_httpx_sse("events")
        assert "".join(event.json()["text"] for event in deltas) == text
        assert end.event == "done"

        _, *others, last = SSEClient(ask("events")).events()
        assert "".join(json.loads(event.data)["text"] for event in others) == text
        assert last.event == "done"

        with http.stream("POST", f"{server.url}/chat?format=events", json={"message": "Hello"}) as response:
            data = [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]
        assert "".join(item["text"] for item in data[1:-1]) == text


@given(deltas=DELTAS, end=ENDINGS)
@example(deltas=TROUBLE, end=DONE)
def test_lines_as_httpx_splits_them_are_the_lines_of_the_events_wire(deltas: list[str], end: Terminal) -> None:
    whole = body("events", deltas, end)
    assert list(httpx.Response(200, content=whole).iter_lines()) == whole.decode().split("\n")[:-1]
