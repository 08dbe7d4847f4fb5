"""How a document is taken in, event by event: `received`, `parsing`, `splitting`, `embedding`; `ready` or `failed`.

The same log and the same rules as the events wire's, and other words: no client of an answer meets these.
"""

import random
from typing import assert_never

from domain.documents import Document
from domain.events import (
    Cancelled,
    Delta,
    Done,
    Event,
    Failed,
    Progress,
    Quoted,
    Reasoning,
    Retrieving,
    Retrying,
    Stalled,
    Started,
    Switched,
    ToolCall,
)
from wires.frames import failure, frame, present

HEARTBEAT = b": hb\n"


class DocumentEncoder:
    """Encodes the progress of one document. It keeps no state."""

    __slots__ = ("_document_id", "_id")

    def __init__(self, stream_id: str, *, document_id: str) -> None:
        self._id = stream_id
        self._document_id = document_id

    def encode(self, seq: int, event: Event) -> bytes:
        """Event number `seq` as one block; nothing for what no document's log holds."""
        event_id = f"{self._id}-{seq}"
        about = {"document_id": self._document_id}
        match event:
            case Started():
                retry = random.randint(1000, 3000)  # noqa: S311 - spreads load, guards nothing
                return frame("received", about, event_id, retry=retry)
            case Progress(phase, done, total):
                return frame(phase, present(done=done, total=total), event_id)
            case Done():
                return frame("ready", about, event_id)
            case Failed(code):
                return frame("failed", {**about, **failure(code)}, event_id)
            case Cancelled():
                return frame("failed", {**about, **failure("stream_cancelled")}, event_id)
            case Delta() | Reasoning() | ToolCall() | Quoted() | Retrieving() | Stalled() | Retrying() | Switched():
                return b""
            case _:
                assert_never(event)


def summary(document: Document) -> bytes:
    """All that is still known of a document's way, where its log is not, or not yet. Without ids to come back with."""
    blocks = frame("received", {"document_id": document.id})
    if document.state == "ready":
        blocks += frame("ready", {"document_id": document.id})
    elif document.state == "failed":
        blocks += frame("failed", {"document_id": document.id, **failure(document.code or "internal_error")})
    return blocks
