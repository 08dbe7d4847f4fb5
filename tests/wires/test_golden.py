"""The wires to the letter: one stream of each ending, as a person reads it in `golden/`."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from domain.events import Done, Event, Failed, Reasoning, Retrying, Stalled, Switched, Terminal
from domain.usage import NOTHING_USED, Attempt, Cost, Spent, Usage
from tests.wires.samples import CANCELLED, DONE, FAILED, body, encoded, stream
from wires import Format

GOLDEN = Path(__file__).parent / "golden"
DELTAS = ["Lines end ", "in LF\nin CR\ror in CRLF\r\n", " beyond ASCII \u00e9 \U0001f600 ", 'data: "end"']
ENDS: dict[str, Terminal] = {"done": DONE, "error": FAILED, "cancelled": CANCELLED}
FORMATS: list[Format] = ["text", "events"]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("format", FORMATS)
def test_a_stream_reads_as_in_its_golden_file(format: Format, end: str) -> None:
    written = re.sub(rb"(?m)^retry: [0-9]{4}$", b"retry: 1731", body(format, DELTAS, ENDS[end]))
    assert written == (GOLDEN / f"{format}-{end}.sse").read_bytes()


USED = Usage(20, 9, exact=True, cached_tokens=5, reasoning_tokens=4)
COST = Cost(Decimal("0.00115"), "USD", "catalogue")
ATTEMPTS = (Attempt("big", NOTHING_USED, None, "provider_rate_limited"), Attempt("small", USED, COST))
ON_THE_WAY: list[Event] = [
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


def test_when_to_come_back_reads_as_in_its_golden_file() -> None:
    end = Failed("provider_rate_limited", Spent(NOTHING_USED, None), retry_after=7)
    written = b"".join(encoded("text", stream([], end)))
    assert written == (GOLDEN / "text-retry-after.sse").read_bytes()
