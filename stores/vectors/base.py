"""The interface of a vector store.

It stores only a piece's key, its owner and its vector; every other filter is SQL's. Texts, names and collections are in
SQL, which decides what exists: the caller drops a hit whose piece no longer exists.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from domain.documents import Hit, Index, PieceKey, Vector


class VectorStore(Protocol):
    """Vectors by index, owner and document. Failures of the store raise `storage_unavailable`."""

    async def add(
        self, index: Index, owner: str, document_id: str, vectors: Sequence[Vector], *, first: int = 0
    ) -> None:
        """Store the vectors of the pieces `first`, `first + 1`, ...; existing ones are overwritten."""

    async def search(
        self, index: Index, owner: str, vector: Vector, *, document_ids: Collection[str] | None, limit: int
    ) -> list[Hit]:
        """The owner's nearest pieces, best first. With `document_ids`, only pieces of these documents (none if it is
        empty)."""

    async def scores(
        self, index: Index, owner: str, vector: Vector, keys: Collection[PieceKey]
    ) -> dict[PieceKey, float]:
        """The cosines for those of these keys (a few hundred at most) that are the owner's and have a vector."""

    async def delete(self, owner: str, document_id: str) -> None:
        """Delete the document's vectors from every index."""

    async def drop(self, index: Index) -> None:
        """Delete a whole index."""

    async def close(self) -> None:
        """Close connections and files."""
