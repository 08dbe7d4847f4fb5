"""The vector store of the settings, opened on first use."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

from domain.documents import Hit, Index, PieceKey, Vector
from stores.vectors.base import VectorStore


class Vectors:
    """A vector store that `open_store` opens when it is first needed."""

    def __init__(self, open_store: Callable[[], Awaitable[VectorStore]]) -> None:
        self._open_store = open_store
        self._opening = asyncio.Lock()
        self._opened: VectorStore | None = None

    async def add(
        self, index: Index, owner: str, document_id: str, vectors: Sequence[Vector], *, first: int = 0
    ) -> None:
        store = await self._store()
        await store.add(index, owner, document_id, vectors, first=first)

    async def search(
        self, index: Index, owner: str, vector: Vector, *, document_ids: Collection[str] | None, limit: int
    ) -> list[Hit]:
        store = await self._store()
        return await store.search(index, owner, vector, document_ids=document_ids, limit=limit)

    async def scores(
        self, index: Index, owner: str, vector: Vector, keys: Collection[PieceKey]
    ) -> dict[PieceKey, float]:
        return await (await self._store()).scores(index, owner, vector, keys)

    async def delete(self, owner: str, document_id: str) -> None:
        await (await self._store()).delete(owner, document_id)

    async def drop(self, index: Index) -> None:
        await (await self._store()).drop(index)

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()

    async def _store(self) -> VectorStore:
        async with self._opening:
            if self._opened is None:
                self._opened = await self._open_store()
            return self._opened
