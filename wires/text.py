"""The seed's wire: `data:` blocks that joined give the answer, for simple clients.

One delta is one block, so a client's cursor is the number of blocks it has read. Line ends become LF: a
delta's LF starts another `data:` line of its block, a CR is an LF at once, and an LF that opens the next
delta belonged to it. Success ends with the body; failure and cancel end with one named event.
"""

import re
from collections.abc import Sequence
from typing import assert_never

from domain import events as on
from wires.frames import ending, frame

# Two LFs: simple clients split on blank lines, and a comment glued to a block would cost them a word.
HEARTBEAT = b": hb\n\n"
_LINE_END = re.compile("[\r\n]")


class TextEncoder:
    """Encodes the events of one stream, from the first one on: it remembers a CR."""

    __slots__ = ("_after_cr",)

    def __init__(self, stream_id: str) -> None:
        self._after_cr = False

    def encode(self, seq: int, event: on.AnswerEvent) -> bytes:
        """What event number `seq` adds to the body; nothing for whatever is neither answer nor bad end."""
        if isinstance(event, on.Delta):
            text = event.text
            if not self._after_cr and _LINE_END.search(text) is None:  # nearly every event
                return f"data: {text}\n\n".encode()
            return _block(self._normalise(text))
        return self._encode_rare(event)

    def _encode_rare(self, event: on.Rare) -> bytes:
        match event:
            case on.Failed() | on.Cancelled():
                return frame(*ending(event))
            case on.Started() | on.Reasoning() | on.ToolCall() | on.Quoted() | on.Done() | on.Unknown():
                return b""
            case on.Retrieving() | on.Stalled() | on.Retrying() | on.Switched():
                return b""
            case _:
                assert_never(event)

    def _normalise(self, text: str) -> str:
        ended = text.endswith("\r")
        if self._after_cr:
            text = text.removeprefix("\n")  # the CR has become an LF already
        self._after_cr = ended
        return text.replace("\r\n", "\n").replace("\r", "\n")


def seq_after(blocks: int, events: Sequence[on.Event]) -> int:
    """The sequence number of the delta that was this wire's block number `blocks`; 0 for none.

    A number beyond the newest delta gives one beyond the newest event.
    """
    if blocks == 0:
        return 0
    seen = 0
    for seq, event in enumerate(events, 1):
        if type(event) is on.Delta:
            seen += 1
            if seen == blocks:
                return seq
    return len(events) + 1


def _block(text: str) -> bytes:
    return ("data: " + text.replace("\n", "\ndata: ") + "\n\n").encode()
