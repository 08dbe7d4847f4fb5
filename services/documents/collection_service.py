"""Collections of documents: listing, filling, emptying and searching them.

A collection is a name under which documents are filed, so every name is valid, and most are empty.
"""

from collections.abc import Sequence

from domain.callers import Caller
from domain.documents import Collection, Document, Passage, Retrieval
from domain.errors import StreamForgeError
from domain.messages import Page, is_id
from services.documents.retrieval import Retriever
from services.storage import Storage

_TOKENS = 10**6


class CollectionService:
    """The callers' collections."""

    def __init__(self, storage: Storage, retriever: Retriever) -> None:
        self._collections = storage.collections
        self._documents = storage.documents
        self._retriever = retriever

    async def page(self, caller: Caller, after: str | None, limit: int) -> Page[Collection]:
        """The collections that contain documents, ordered by name; the cursor is the last one's name."""
        found = await self._collections.list(caller.id, after=after, limit=limit + 1)
        return Page(list(found[:limit]), found[limit - 1].name if len(found) > limit else None)

    async def get(self, caller: Caller, name: str) -> Collection:
        """The collection with that name, which may be empty."""
        return await self._collections.get(caller.id, name)

    async def document(self, caller: Caller, name: str, document_id: str) -> Document:
        """A document in the collection; raises `document_not_found` for one that is only in others."""
        document = await self._documents.get(caller.id, document_id) if is_id(document_id) else None
        if document is None or name not in document.collections:
            raise StreamForgeError("document_not_found")
        return document

    async def put_in(self, caller: Caller, name: str, document_id: str) -> Document:
        """File a document under the name, in addition to its other collections; raises `document_not_found`."""
        document = await self._collections.put_in(caller.id, name, document_id) if is_id(document_id) else None
        if document is None:
            raise StreamForgeError("document_not_found", pointer="#/file_id")
        return document

    async def take_out(self, caller: Caller, name: str, document_id: str) -> None:
        """Remove a document from the collection without deleting it; raises `document_not_found` if it is not in it."""
        if not is_id(document_id) or not await self._collections.take_out(caller.id, name, document_id):
            raise StreamForgeError("document_not_found")

    async def empty(self, caller: Caller, name: str) -> None:
        """Remove all documents from the collection without deleting them."""
        await self._collections.take_out(caller.id, name)

    async def search(
        self, caller: Caller, name: str, queries: Sequence[str], *, limit: int, min_score: float
    ) -> list[Passage]:
        """The nearest passages in it, best first; with several queries, each passage counts by its best score."""
        wanted = Retrieval(collections=(name,), top_k=limit, min_score=min_score)
        best: dict[object, Passage] = {}
        for query in queries:
            for passage in await self._retriever.find(caller.id, query, wanted, _TOKENS):
                known = best.get(passage.key)
                if known is None or (passage.score or 0) > (known.score or 0):
                    best[passage.key] = passage
        found = list(best.values())
        if len(queries) > 1:
            found.sort(key=lambda passage: -(passage.score or 0))
        return found[:limit]
