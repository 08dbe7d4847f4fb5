"""The wire of an ingestion: `received`, `parsing`, `splitting`, `embedding`, and at the end `ready` or `failed`.

It has the same kind of log and the same rules as the events wire, but its own event names. A body that ends without
`ready` or `failed` means that the work goes on and that the client should reconnect.
"""

import random
from typing import assert_never

from domain import events as on
from domain.documents import Document
from wires.frames import failure, frame, present

HEARTBEAT = b": hb\n"
_NAMES = frozenset(("received", "ready", "failed", "message"))


class DocumentEncoder:
    """Encodes the progress of one document. It keeps no state."""

    __slots__ = ("_document_id", "_id")

    def __init__(self, stream_id: str, *, document_id: str) -> None:
        self._id = stream_id
        self._document_id = document_id

    def encode(self, seq: int, event: on.IngestionEvent) -> bytes:
        """Event number `seq` as one block; empty if the event is not for clients."""
        event_id = f"{self._id}-{seq}"
        about = {"document_id": self._document_id}
        match event:
            case on.Started():
                retry = random.randint(1000, 3000)  # noqa: S311 - spreads load, guards nothing
                return frame("received", about, event_id, retry=retry)
            case on.Progress(phase, done, total) if phase not in _NAMES:
                return frame(phase, present(done=done, total=total), event_id)
            case on.Done():
                return frame("ready", about, event_id)
            case on.Failed(code, detail=detail) if code != "producer_lost":
                return frame("failed", {**about, **failure(code), **present(message=detail)}, event_id)
            # This log ends here, but not the document: a client that reconnects finds its next log. Or the event is
            # one that only a newer server knows.
            case on.Failed() | on.Cancelled() | on.Progress() | on.Unknown():
                return b""
            case _:
                assert_never(event)


def received(document: Document) -> bytes:
    """The first block for a document that has no log, or none yet. It has no id to resume from."""
    return frame("received", {"document_id": document.id}, retry=random.randint(1000, 3000))  # noqa: S311


def settled(document: Document) -> bytes:
    """The last block for a document that is ready or has failed; empty for any other."""
    if document.state == "ready":
        return frame("ready", {"document_id": document.id})
    if document.state == "failed":
        why = {**failure(document.code or "internal_error"), **present(message=document.detail)}
        return frame("failed", {"document_id": document.id, **why})
    return b""


def gone(document_id: str) -> bytes:
    """The last block for a document that was deleted while it was waiting."""
    return frame("failed", {"document_id": document_id, **failure("document_not_found")})
