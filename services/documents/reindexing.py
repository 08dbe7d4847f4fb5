"""Embeds all documents with another model, into an index beside the one in use, which it then replaces.

No work is repeated: SQL knows which documents the new index holds, and it is put to use only when that is all of them.
A run that was interrupted continues where it stopped, and includes documents that were added meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import time

from domain.documents import Document, Index
from services.documents.embedding import Embedding
from services.documents.indexing import put_into_index
from services.storage import Storage
from stores.vectors.base import VectorStore

_DOCUMENTS = 100

OnProgress = Callable[[int, int], None]
"""Called with the number of pieces done and of all pieces; the latter may grow."""


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What was done. `before` is the index that was in use, if it was another one."""

    index: Index
    before: Index | None
    documents: int
    pieces: int


class Reindexing:
    """Makes the index of the embedding model in the settings."""

    def __init__(self, storage: Storage, embedder: Embedding, vectors: VectorStore) -> None:
        self._store = storage.documents
        self._embedder = embedder
        self._vectors = vectors
        self._documents = 0
        self._pieces = 0

    async def run(self, on_progress: OnProgress, *, anew: bool = False) -> Reindexed:
        """Complete the index, put it to use, and drop all others. Run it again if it was interrupted.

        `anew` ignores what the index is said to hold and embeds everything: its vectors may have been lost.
        """
        self._embedder.require()
        before = await self._store.index()
        index = await self._embedder.index()
        if anew:
            await self._store.forget(index)
        while True:
            while documents := await self._store.lacking(index, _DOCUMENTS):
                _, left = await self._store.left(index)
                progress = partial(_report, on_progress, self._pieces + left)
                for document in documents:
                    await self._embed(document, index, progress)
            if await self._store.switch(index, time()):
                break
        for other in await self._store.others(index):
            await self._vectors.drop(other)
            await self._store.forget(other)
        return Reindexed(index, before if before != index else None, self._documents, self._pieces)

    async def _embed(self, document: Document, index: Index, report: Callable[[int], None]) -> None:
        """Embed one document completely, whatever had been done of it before."""
        chunks = await self._store.chunks(document.owner, document.id)

        async def on_batch(done: int) -> None:
            report(self._pieces + done)

        await put_into_index(index, document, chunks, self._embedder, self._vectors, on_batch)
        if await self._store.note(document.id, index):
            self._documents += 1
            self._pieces += len(chunks)
        else:  # deleted meanwhile
            await self._vectors.delete(document.owner, document.id)
        report(self._pieces)


def _report(on_progress: OnProgress, whole: int, done: int) -> None:
    on_progress(done, max(done, whole))
