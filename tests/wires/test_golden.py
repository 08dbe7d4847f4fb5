"""The wires to the letter: one stream of each ending, as a person reads it in `golden/`."""

import re
from pathlib import Path

import pytest

from domain.events import Terminal
from tests.wires.samples import CANCELLED, DONE, FAILED, body
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
