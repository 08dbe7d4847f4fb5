"""Streams for the wires' tests, and texts that are hard on encoders and on clients."""

import re
from collections.abc import Sequence

from hypothesis import strategies as st

from domain.events import AnswerEvent, Cancelled, Delta, Done, Failed, Started, Terminal
from domain.usage import Spent, Usage
from wires.table import WIRES, Format

STREAM_ID = "9f86d081884c7d659a2feaa0c55ad015"
SPENT = Spent(Usage(input_tokens=4, output_tokens=6, exact=False), cost=None)
DONE = Done("stop", "simulated", SPENT)
FAILED = Failed("provider_timeout", SPENT)
CANCELLED = Cancelled("requested", SPENT)
ENDING_NAMES = {Done: "done", Failed: "error", Cancelled: "cancelled"}

# Line ends of the event stream format; line ends of other worlds, which are plain text here; what looks
# like the format's own lines; what a decoder may swallow, strip or cut in half.
TROUBLE = [
    *("\r", "\n", "\r\n", "\n\n", "\r\r", "\n\r", "\r\n\r\n"),
    *("\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"),
    *(":", ": hb", "data:", "data: x", "\ndata: x", "\n\ndata: x\n\n", "id: 7\n", "\nevent: error\n", "\nretry: 1\n"),
    *(" ", "  x", "x  ", "\t", "\u00a0", "\u200b", "\ufeff", "\ufeffdata: x", "\uffff", "\x7f", "\x1b[31m"),
    *("\U0001f600", "\U0001f469\u200d\U0001f469\u200d\U0001f467", "e\u0301", "\u4e2d\u6587", "\U0010ffff"),
    *("[DONE]", "null", "0", "{}", '"', "\\", "\\u0041", "</script>"),
]
# All of it in a few deltas, for tests that read a body hundreds of times.
TROUBLE_IN_SHORT = ["".join(TROUBLE[first::8]) for first in range(8)]

_PIECES = st.one_of(
    st.sampled_from(TROUBLE),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=6),
)
DELTAS = st.lists(st.lists(_PIECES, min_size=1, max_size=3).map("".join), max_size=7)
TEXTS = st.lists(_PIECES, min_size=1, max_size=12).map("".join).filter(lambda text: text.strip() != "")
ENDINGS: st.SearchStrategy[Terminal] = st.sampled_from([DONE, FAILED, CANCELLED])


def stream(deltas: Sequence[str], end: Terminal | None = DONE) -> list[AnswerEvent]:
    """A whole log; without an end, one that still runs."""
    begun: list[AnswerEvent] = [Started(STREAM_ID, "simulated", 1763800000)]
    return [*begun, *(Delta(text) for text in deltas), *([end] if end else [])]


def encoded(format: Format, events: Sequence[AnswerEvent]) -> list[bytes]:
    """What each event adds to the body, as a reader of the whole stream gets it."""
    encoder = WIRES[format].encoder(STREAM_ID)
    return [encoder.encode(seq, event) for seq, event in enumerate(events, 1)]


def body(format: Format, deltas: Sequence[str], end: Terminal = DONE) -> bytes:
    """The whole body of a stream."""
    return b"".join(encoded(format, stream(deltas, end)))


def with_lf(text: str) -> str:
    """The text with its line ends as the text wire writes them."""
    return re.sub("\r\n|\r", "\n", text)


def blocks(body: bytes) -> list[bytes]:
    """The body cut behind every blank line."""
    return re.findall(rb"(?s).+?\n\n|.+", body)


def pieces(body: bytes, size: int) -> list[bytes]:
    """The body as a network may deliver it."""
    return [body[at : at + size] for at in range(0, len(body), size)]
