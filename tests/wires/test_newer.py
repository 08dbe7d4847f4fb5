"""What a newer version has written: its number counts, and no client is told what it does not know."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events import AnswerEvent, Cancelled, Done, Failed, Progress, Started, Terminal, Unknown
from tests.support.sse import parse
from tests.wires.samples import CANCELLED, DELTAS, DONE, ENDINGS, FAILED, SPENT, STREAM_ID, encoded, stream
from wires.documents import DocumentEncoder
from wires.events import EventsEncoder
from wires.table import WIRES, Format

UNKNOWN = Unknown("tool_result", '{"id":"call_1","text":"caf\\u00e9"}')
OTHERS: list[Format] = [name for name in WIRES if name != "events"]
ENDED: dict[str, Terminal] = {
    "done": Done("paused", "small", SPENT),
    "failed": Failed("budget_spent", SPENT),
    "cancelled": Cancelled("disapproved", SPENT),
}


@pytest.mark.parametrize("format", OTHERS)
@given(deltas=DELTAS, end=ENDINGS, at=st.integers(1, 8))
def test_other_wires_pass_an_unknown_event_over(format: Format, deltas: list[str], end: Terminal, at: int) -> None:
    events = stream(deltas, end)
    with_it: list[AnswerEvent] = [*events[:at], UNKNOWN, *events[at:]]
    if at < len(events):
        assert b"".join(encoded(format, with_it)) == b"".join(encoded(format, events))
    assert encoded(format, with_it)[min(at, len(events))] == b""


def test_the_events_wire_sends_it_under_its_name_with_its_number() -> None:
    begun, said, end = stream(["a"])
    blocks = encoded("events", [begun, UNKNOWN, said, end])
    (message,) = parse(blocks[1])
    assert (message.event, message.last_event_id) == ("tool_result", f"{STREAM_ID}-2")
    assert json.loads(message.data) == {"id": "call_1", "text": "caf\u00e9"}
    assert [parse(block)[0].last_event_id for block in blocks] == [f"{STREAM_ID}-{seq}" for seq in (1, 2, 3, 4)]


@pytest.mark.parametrize("name", ["error", "start", "status", "source", "message", "done", "delta"])
def test_it_does_not_pass_for_an_event_that_clients_know(name: str) -> None:
    assert EventsEncoder(STREAM_ID).encode(2, Unknown(name, "{}")) == b""


@pytest.mark.parametrize("format", WIRES)
@pytest.mark.parametrize("how", ENDED)
def test_an_end_for_an_unknown_reason_is_an_end_of_its_kind(format: Format, how: str) -> None:
    known: dict[str, Terminal] = {"done": DONE, "failed": FAILED, "cancelled": CANCELLED}
    (there, here) = (ends(format, end) for end in (ENDED[how], replace(known[how])))
    assert [message.event for message in there] == [message.event for message in here]
    assert [shape(message.data) for message in there] == [shape(message.data) for message in here]


def test_clients_that_know_a_closed_list_are_told_a_reason_from_it() -> None:
    assert '"finish_reason":"stop"' in ends("openai", ENDED["done"])[-2].data
    assert '"finishReason":"other"' in ends("ai_sdk", ENDED["done"])[-2].data


def test_a_documents_unknown_phase_is_an_event_and_never_an_end() -> None:
    encoder = DocumentEncoder(STREAM_ID, document_id="d" * 32)
    assert encoder.encode(2, Progress("recognising", 1, 2)).startswith(b"event: recognising\n")
    for name in ("ready", "failed", "received", "message"):
        assert encoder.encode(2, Progress(name)) == b""
    assert encoder.encode(3, UNKNOWN) == b""


def ends(format: Format, end: Terminal) -> list[Any]:
    begun: AnswerEvent = Started(STREAM_ID, "simulated", 1763800000)
    return parse(encoded(format, [begun, end])[1])


def shape(data: str) -> Any:
    """The names of the fields in a block's data."""
    try:
        found = json.loads(data)
    except ValueError:
        return data
    return sorted(found)
