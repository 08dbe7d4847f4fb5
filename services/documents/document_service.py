"""Documents as their owners see them. What is another's does not exist."""

import asyncio
import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from time import time

from domain.callers import Caller
from domain.documents import Document
from domain.errors import StreamForgeError
from domain.events import Done, Failed
from domain.messages import Page, is_id, new_id
from services.documents.ingestion import Ingestion
from services.storage import Storage
from stores.streams.base import StreamLog, Tail
from stores.vectors.base import VectorStore


@dataclass(frozen=True, slots=True)
class Received:
    """A document that was given to us; `known` says that its owner had given us the same bytes before."""

    document: Document
    known: bool


class DocumentService:
    """Takes documents, shows what became of them, and forgets them."""

    def __init__(
        self, storage: Storage, streams: StreamLog, ingestion: Ingestion, vectors: VectorStore, *, queued: int
    ) -> None:
        self._storage = storage
        self._log = streams
        self._ingestion = ingestion
        self._vectors = vectors
        self._queued = queued

    def require(self) -> None:
        """Refuse uploads where what documents need is not installed."""
        self._ingestion.require()

    async def add(self, caller: Caller, name: str, content: bytes, collections: Sequence[str]) -> Received:
        """Put a document into the queue; `too_many_documents` where the caller has as many there as may be.

        The same bytes are the document that is there, which goes back into the queue if it had failed.
        """
        from parsing.names import tidy_name  # which takes tables of characters along

        self.require()
        stores = await self._storage.open()
        digest = await asyncio.to_thread(_digest, content)
        document, new = await stores.documents.add(
            caller.id, new_id(), tidy_name(name), content, digest, tuple(collections), time(), limit=self._queued
        )
        if document.state == "queued":
            self._ingestion.wake()
        return Received(document, known=not new)

    async def page(self, caller: Caller, collection: str | None, cursor: str | None, limit: int) -> Page[Document]:
        """A page of the caller's documents, newest first."""
        stores = await self._storage.open()
        return await stores.documents.list(caller.id, collection=collection, after=cursor, limit=limit)

    async def get(self, caller: Caller, document_id: str) -> Document:
        """The caller's document, or `document_not_found`."""
        stores = await self._storage.open()
        document = await stores.documents.get(caller.id, document_id) if is_id(document_id) else None
        if document is None:
            raise StreamForgeError("document_not_found")
        return document

    async def content(self, caller: Caller, document_id: str) -> tuple[Document, bytes]:
        """The document with its bytes."""
        document = await self.get(caller, document_id)
        stores = await self._storage.open()
        content = await stores.documents.content(caller.id, document_id)
        if content is None:
            raise StreamForgeError("document_not_found")
        return document, content

    async def delete(self, caller: Caller, document_id: str) -> None:
        """Forget a document, with all that was made of it.

        Its vectors first: where they cannot be reached, the document is still there, to be deleted again. Once more
        afterwards, for whoever works on it may have added some in between.
        """
        await self.get(caller, document_id)
        await self._vectors.delete(caller.id, document_id)
        stores = await self._storage.open()
        if not await stores.documents.delete(caller.id, document_id):
            raise StreamForgeError("document_not_found")
        with contextlib.suppress(StreamForgeError):  # it is gone, and whoever works on it is told so, and does the same
            await self._vectors.delete(caller.id, document_id)

    async def progress(self, caller: Caller, document_id: str) -> tuple[Document, Tail | None]:
        """The document, and the log of its progress where there is one yet, or still.

        A log that has ended without the document's end, because its process went or will try again, is none.
        """
        document = await self.get(caller, document_id)
        tail = await self._log.find(document.stream_id) if document.stream_id else None
        return document, tail if tail is not None and _tells(tail, document) else None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _tells(tail: Tail, document: Document) -> bool:
    """Whether the log has all that there is to say, or will have."""
    match tail.outcome if tail.ended else None:
        case None:
            return True
        case Done():
            return document.state == "ready"
        case Failed(code):
            return document.code == code
    return False
