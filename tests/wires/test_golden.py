"""The wires to the letter: one stream of each ending, as a person reads it in `golden/`."""

import re
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest

from domain.events import (
    AnswerEvent,
    Done,
    Failed,
    Quoted,
    Reasoning,
    Retrieving,
    Retrying,
    Stalled,
    Switched,
    Terminal,
    ToolCall,
    Unknown,
)
from domain.usage import NOTHING_USED, Attempt, Cost, Spent, Usage
from tests.wires.samples import CANCELLED, DONE, FAILED, STREAM_ID, body, encoded, stream
from wires.openai import OpenAIEncoder
from wires.table import WIRES, Format

GOLDEN = Path(__file__).parent / "golden"
DELTAS = ["Lines end ", "in LF\nin CR\ror in CRLF\r\n", " beyond ASCII \u00e9 \U0001f600 ", 'data: "end"']
ENDS: dict[str, Terminal] = {"done": DONE, "error": FAILED, "cancelled": CANCELLED}
FORMATS = list(WIRES)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("format", FORMATS)
def test_a_stream_reads_as_in_its_golden_file(format: Format, end: str) -> None:
    written = re.sub(rb"(?m)^retry: [0-9]{4}$", b"retry: 1731", body(format, DELTAS, ENDS[end]))
    assert written == (GOLDEN / f"{format}-{end}.sse").read_bytes()


USED = Usage(20, 9, exact=True, cached_tokens=5, reasoning_tokens=4)
COST = Cost(Decimal("0.00115"), "USD", "catalogue")
ATTEMPTS = (Attempt("big", NOTHING_USED, None, "provider_rate_limited"), Attempt("small", USED, COST))
ON_THE_WAY: list[AnswerEvent] = [
    Retrying("provider_rate_limited", 2, 0.431),
    Switched("big", "small", "provider_rate_limited"),
    Stalled(5.0),
    Reasoning("so \u2028 so"),
]


@pytest.mark.parametrize("format", FORMATS)
def test_what_happens_on_the_way_reads_as_in_its_golden_file(format: Format) -> None:
    begun, *said = stream(["an answer"], Done("stop", "small", Spent(USED, COST, ATTEMPTS)))
    blocks = encoded(format, [begun, *ON_THE_WAY, *said])
    written = re.sub(rb"(?m)^retry: [0-9]{4}$", b"retry: 1731", b"".join(blocks))
    assert written == (GOLDEN / f"{format}-failover.sse").read_bytes()


CALLS: list[AnswerEvent] = [
    ToolCall("call_1", "get_weather", ""),
    ToolCall("call_1", None, '{"city":'),
    ToolCall("call_2", "now", "{}"),
    ToolCall("call_1", None, ' "Z\u00fcrich"}'),
]


@pytest.mark.parametrize("format", FORMATS)
def test_calls_of_tools_read_as_in_their_golden_file(format: Format) -> None:
    begun, *said = stream(["Let me see. "])
    *said, _ = said
    blocks = encoded(format, [begun, *said, *CALLS, Done("tool_calls", "small", Spent(USED, COST))])
    written = re.sub(rb"(?m)^retry: [0-9]{4}$", b"retry: 1731", b"".join(blocks))
    assert written == (GOLDEN / f"{format}-calls.sse").read_bytes()


def test_every_kind_of_event_is_in_a_golden_file() -> None:
    recorded = [*stream(DELTAS), *ENDS.values(), *ON_THE_WAY, *CALLS, *QUOTED]
    assert {*(type(event) for event in recorded), Unknown} == set(get_args(AnswerEvent))


QUOTED: list[AnswerEvent] = [
    Retrieving("Which colour has the ship?"),
    Quoted(
        1, f"{STREAM_ID}-0", STREAM_ID, "Ships", "The ship is \u201cred\u201d.", 3, "Colours", 0.5312, "application/pdf"
    ),
    Quoted(2, f"{STREAM_ID}-7", STREAM_ID, "notes.txt", "Blue?"),
]


@pytest.mark.parametrize("format", FORMATS)
def test_sources_read_as_in_their_golden_file(format: Format) -> None:
    begun, *said = stream(["It is \U0001f6a2 red ", "[1], not ", "blue [2, 9]."])
    *said, _ = said
    end = Done("stop", "small", Spent(USED, COST), sources=(1, 2), unknown_marks=1)
    written = re.sub(rb"(?m)^retry: [0-9]{4}$", b"retry: 1731", b"".join(encoded(format, [begun, *QUOTED, *said, end])))
    assert written == (GOLDEN / f"{format}-sources.sse").read_bytes()


def test_usage_at_the_end_of_openais_wire_reads_as_in_its_golden_file() -> None:
    encoder = OpenAIEncoder(STREAM_ID, usage=True)
    events = stream(["an answer"], Done("stop", "small", Spent(USED, COST)))
    written = b"".join(encoder.encode(seq, event) for seq, event in enumerate(events, 1))
    assert written == (GOLDEN / "openai-usage.sse").read_bytes()


def test_when_to_come_back_reads_as_in_its_golden_file() -> None:
    end = Failed("provider_rate_limited", Spent(NOTHING_USED, None), retry_after=7)
    written = b"".join(encoded("text", stream([], end)))
    assert written == (GOLDEN / "text-retry-after.sse").read_bytes()
