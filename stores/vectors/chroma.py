"""Vectors in Chroma: one collection for each index; each piece has its owner and document as metadata.

Collections use cosine distance and examine more neighbours than any search asks for, so that results are nearly exact.
A store is a folder that only this process uses (`chroma_folder`) or a server (`chroma_server`). This module decides
what is stored, those two decide how.
"""

import asyncio
import hashlib
from array import array
from collections.abc import Collection, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from domain.documents import Hit, Index, PieceKey, Vector

PREFIX = "streamforge-"
BATCH = 1_000
"""The most vectors in one call; Chroma accepts about 5,000."""
MAX_DOCUMENTS = 500
"""The most documents that one search names; a search in more is split."""
CONFIGURATION = {"hnsw": {"space": "cosine", "ef_search": 500, "ef_construction": 200, "max_neighbors": 32}}

Where = dict[str, Any]


class Collections(Protocol):
    """Chroma's own calls. `upsert` creates a collection that does not exist; the others treat it as empty.

    Failures of Chroma raise `storage_unavailable`; a full disk raises `storage_full`.
    """

    async def names(self) -> list[str]:
        """The names of all collections."""

    async def upsert(
        self, name: str, ids: list[str], vectors: list[list[float]], metadatas: list[dict[str, str]]
    ) -> None:
        """Store vectors under these ids."""

    async def query(self, name: str, vector: list[float], where: Where, limit: int) -> list[tuple[str, float]]:
        """Ids and distances of the vectors that match `where`, nearest first."""

    async def vectors(self, name: str, ids: list[str], where: Where) -> list[tuple[str, list[float]]]:
        """Those of these ids that match `where`, with their vectors."""

    async def forget(self, name: str, where: Where) -> None:
        """Delete the vectors that match `where`."""

    async def drop(self, name: str) -> None:
        """Delete the collection."""

    async def close(self) -> None:
        """Close the connection or the folder."""


class ChromaVectors:
    """A `VectorStore` on Chroma."""

    def __init__(self, collections: Collections) -> None:
        self._collections = collections

    async def add(
        self, index: Index, owner: str, document_id: str, vectors: Sequence[Vector], *, first: int = 0
    ) -> None:
        metadata = {"owner": owner, "document_id": document_id}
        for at in range(0, len(vectors), BATCH):
            some = vectors[at : at + BATCH]
            ids = [f"{document_id}:{first + at + number}" for number in range(len(some))]
            rows = await asyncio.to_thread(lambda part: [_numbers(vector) for vector in part], some)
            await self._collections.upsert(_name(index), ids, rows, [metadata] * len(some))

    async def search(
        self, index: Index, owner: str, vector: Vector, *, document_ids: Collection[str] | None, limit: int
    ) -> list[Hit]:
        found: list[tuple[str, float]] = []
        for where in _wheres(owner, document_ids):
            found += await self._collections.query(_name(index), _numbers(vector), where, limit)
        found.sort(key=lambda hit: hit[1])
        return [Hit(_key(found_id), max(-1.0, min(1.0, 1 - distance))) for found_id, distance in found[:limit]]

    async def scores(
        self, index: Index, owner: str, vector: Vector, keys: Collection[PieceKey]
    ) -> dict[PieceKey, float]:
        if not keys:
            return {}
        ids, question = [f"{key.document_id}:{key.number}" for key in keys], _numbers(vector)
        found = await self._collections.vectors(_name(index), ids, {"owner": owner})
        return {
            _key(found_id): max(-1.0, min(1.0, sum(a * b for a, b in zip(numbers, question, strict=True))))
            for found_id, numbers in found
        }

    async def delete(self, owner: str, document_id: str) -> None:
        where = {"$and": [{"owner": owner}, {"document_id": document_id}]}
        for name in await self._collections.names():
            if name.startswith(PREFIX):
                await self._collections.forget(name, where)

    async def drop(self, index: Index) -> None:
        await self._collections.drop(_name(index))

    async def close(self) -> None:
        await self._collections.close()


async def open_chroma(folder: Path, url: str | None = None) -> ChromaVectors:
    """The store of a Chroma server or, without a URL, of a folder, which is created if necessary.

    Raises `ChromaError` if the folder cannot be used: the package is missing, or another process has it open. A server
    that cannot be reached raises nothing here; requests to it fail until it is back.
    """
    if url is not None:
        server = await asyncio.to_thread(import_module, "stores.vectors.chroma_server")
        return ChromaVectors(await asyncio.to_thread(server.ServerCollections, url))
    local = await asyncio.to_thread(import_module, "stores.vectors.chroma_folder")
    return ChromaVectors(await asyncio.to_thread(local.FolderCollections, folder))


def _name(index: Index) -> str:
    """The collection's name. Chroma allows only letters, digits and `._-`, so it contains a digest of the model."""
    return f"{PREFIX}{hashlib.sha256(index.model.encode()).hexdigest()[:24]}-{index.dimension}"


def _wheres(owner: str, document_ids: Collection[str] | None) -> list[Where]:
    """Filters for the owner's pieces, in these documents if given; several filters if there are many documents."""
    if document_ids is None:
        return [{"owner": owner}]
    ids = sorted(set(document_ids))
    parts = [ids[at : at + MAX_DOCUMENTS] for at in range(0, len(ids), MAX_DOCUMENTS)]
    return [{"$and": [{"owner": owner}, {"document_id": {"$in": part}}]} for part in parts]


def _key(found_id: str) -> PieceKey:
    document_id, _, number = found_id.rpartition(":")
    return PieceKey(document_id, int(number))


def _numbers(vector: Vector) -> list[float]:
    import sys

    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
