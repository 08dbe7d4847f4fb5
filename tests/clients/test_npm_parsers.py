"""npm clients read both wires, in pieces of every size (T20)."""

import base64
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.events import Terminal
from tests.clients.node import Node
from tests.support.effort import examples
from tests.wires.samples import DELTAS, DONE, ENDING_NAMES, ENDINGS, STREAM_ID, TROUBLE_IN_SHORT, blocks, body, with_lf
from wires.table import WIRES

PARSERS = ["eventsource-parser 3", "eventsource-parser 4"]
CLIENTS = [*PARSERS, "fetch-event-source"]


def read(node: Node, client: str, whole: bytes) -> dict[str, Any]:
    """What the client makes of the body; it must be the same whatever the pieces."""
    outcomes = node.ask("readAtEveryChunkSize", client=client, body=base64.b64encode(whole).decode())
    assert len(outcomes) == 1
    assert outcomes[0]["errors"] == []
    return outcomes[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("client", CLIENTS)
@settings(deadline=None, max_examples=examples(25))
@given(deltas=DELTAS, end=ENDINGS)
@example(deltas=TROUBLE_IN_SHORT, end=DONE)
def test_a_client_reads_every_event_its_id_and_its_exact_text(
    node: Node, client: str, deltas: list[str], end: Terminal
) -> None:
    outcome = read(node, client, body("events", deltas, end))
    events = outcome["events"]
    assert [event["event"] for event in events] == ["start", *["delta"] * len(deltas), ENDING_NAMES[type(end)]]
    assert [event["id"] for event in events] == [f"{STREAM_ID}-{seq}" for seq in range(1, len(deltas) + 3)]
    assert [json.loads(event["data"])["text"] for event in events[1:-1]] == deltas
    (wait,) = outcome["retries"]
    assert 1000 <= wait <= 3000


@pytest.mark.parametrize("client", PARSERS)
@settings(deadline=None, max_examples=examples(40))
@given(deltas=DELTAS)
@example(deltas=TROUBLE_IN_SHORT)
def test_a_client_joins_the_data_of_the_text_wire_to_the_text(node: Node, client: str, deltas: list[str]) -> None:
    whole = body("text", deltas)
    events = read(node, client, whole)["events"] if whole else []
    assert "".join(event["data"] for event in events) == with_lf("".join(deltas))
    assert {event["event"] for event in events} <= {"message"}


@pytest.mark.parametrize("client", CLIENTS)
@settings(deadline=None, max_examples=examples(12))
@given(deltas=DELTAS, end=ENDINGS, data=st.data())
def test_heartbeats_between_events_change_nothing_for_a_client(
    node: Node, client: str, deltas: list[str], end: Terminal, data: st.DataObject
) -> None:
    quiet = body("events", deltas, end)
    beats = [data.draw(st.integers(0, 2)) for _ in blocks(quiet)]
    beating = b"".join(
        WIRES["events"].heartbeat * count + block for count, block in zip(beats, blocks(quiet), strict=True)
    )
    assert read(node, client, beating) == read(node, client, quiet)


@pytest.mark.parametrize("client", PARSERS)
def test_heartbeats_between_words_of_the_text_wire_change_nothing_for_a_client(node: Node, client: str) -> None:
    words = blocks(body("text", ["one ", "two\n", "three"]))
    beating = WIRES["text"].heartbeat + WIRES["text"].heartbeat.join(words)
    assert read(node, client, beating) == read(node, client, b"".join(words))
