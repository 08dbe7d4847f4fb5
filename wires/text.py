"""The text wire, the seed's, for simple clients: `data:` blocks that make up the answer when joined.

One delta is one block, so a client's cursor is the number of blocks it has read. Line ends become LF: an LF in a delta
starts another `data:` line of its block; a CR becomes an LF at once, and an LF at the start of the next delta is then
dropped as part of it. A successful stream just ends; a failed or cancelled one ends with one named event.
"""

import re
from collections.abc import Sequence
from typing import assert_never

from domain import events as on
from wires.frames import ending, frame

# Two LFs: simple clients split on blank lines, and would lose a word if a comment were glued to its block.
HEARTBEAT = b": hb\n\n"
_LINE_END = re.compile("[\r\n]")


class TextEncoder:
    """Encodes one stream, beginning with its first event: it remembers whether the last delta ended in a CR."""

    __slots__ = ("_after_cr",)

    def __init__(self, stream_id: str) -> None:
        self._after_cr = False

    def encode(self, seq: int, event: on.AnswerEvent) -> bytes:
        """The block of event number `seq`; empty unless it is a piece of the answer, a failure or a cancel."""
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
    """The number of the event that this wire's block number `blocks` came from; 0 if `blocks` is 0.

    A number beyond the newest delta returns one beyond the newest event.
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
