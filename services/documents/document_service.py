"""Documents as their owners see them. Other owners' documents do not exist."""

import asyncio
import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from time import time

from domain.callers import UNLIMITED, Caller, OwnerLimits
from domain.documents import Document
from domain.errors import StreamForgeError
from domain.events import Done, Failed
from domain.messages import Page, is_id, new_id
from services.documents.ingestion import Ingestion
from services.storage import Storage
from stores.streams.base import StreamLog
from stores.streams.tail import Tail
from stores.vectors.base import VectorStore


@dataclass(frozen=True, slots=True)
class Received:
    """A document that was uploaded; `known` says whether its owner had already uploaded the same bytes."""

    document: Document
    known: bool


class DocumentService:
    """Adds, lists, reads and deletes documents."""

    def __init__(
        self,
        storage: Storage,
        streams: StreamLog,
        ingestion: Ingestion,
        vectors: VectorStore,
        *,
        queued: int,
        most: OwnerLimits = UNLIMITED,
    ) -> None:
        self._documents = storage.documents
        self._log = streams
        self._ingestion = ingestion
        self._vectors = vectors
        self._queued = queued
        self._most = most

    def require(self) -> None:
        """Raise an error if what documents need is not installed."""
        self._ingestion.require()

    async def add(self, caller: Caller, name: str, content: bytes, collections: Sequence[str]) -> Received:
        """Put a document into the queue; raises `too_many_documents` if it is full, and `quota_exceeded`.

        If the caller already has the same bytes, that document is returned; it is queued again if it had failed.
        """
        from parsing.names import tidy_name  # which loads tables of characters

        self.require()
        digest = await asyncio.to_thread(_digest, content)
        document, new = await self._documents.add(
            caller.id, new_id(), tidy_name(name), content, digest, tuple(collections), time(), limit=self._queued,
            most=self._most,
        )  # fmt: skip
        if document.state == "queued":
            self._ingestion.wake()
        return Received(document, known=not new)

    async def page(self, caller: Caller, collection: str | None, cursor: str | None, limit: int) -> Page[Document]:
        """A page of the caller's documents, or of those in a collection, newest first."""
        return await self._documents.list(caller.id, collection=collection, after=cursor, limit=limit)

    async def get(self, caller: Caller, document_id: str) -> Document:
        """The caller's document; raises `document_not_found`."""
        document = await self._documents.get(caller.id, document_id) if is_id(document_id) else None
        if document is None:
            raise StreamForgeError("document_not_found")
        return document

    async def content(self, caller: Caller, document_id: str) -> tuple[Document, bytes]:
        """The document with its bytes."""
        document = await self.get(caller, document_id)
        content = await self._documents.content(caller.id, document_id)
        if content is None:
            raise StreamForgeError("document_not_found")
        return document, content

    async def delete(self, caller: Caller, document_id: str) -> None:
        """Delete a document, with everything derived from it.

        Its vectors go first: if they cannot be reached, the document remains and can be deleted again. They are deleted
        once more afterwards, since a worker may have added some in between.
        """
        await self.get(caller, document_id)
        await self._vectors.delete(caller.id, document_id)
        if not await self._documents.delete(caller.id, document_id):
            raise StreamForgeError("document_not_found")
        with contextlib.suppress(StreamForgeError):  # it is deleted; a worker that has it notices, and does the same
            await self._vectors.delete(caller.id, document_id)

    async def progress(self, caller: Caller, document_id: str) -> tuple[Document, Tail | None]:
        """The document, and the log of its progress if there is one.

        A log that ended without the document's own end, because its process was lost or will try again, does not count.
        """
        document = await self.get(caller, document_id)
        tail = await self._log.find(document.stream_id) if document.stream_id else None
        return document, tail if tail is not None and _tells(tail, document) else None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _tells(tail: Tail, document: Document) -> bool:
    """Whether the log has everything there is to say about the document, or will have."""
    match tail.outcome if tail.ended else None:
        case None:
            return True
        case Done():
            return document.state == "ready"
        case Failed(code):
            return document.code == code
    return False
