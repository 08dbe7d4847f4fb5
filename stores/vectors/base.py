"""The contract of a store of vectors.

It knows pieces by their keys, and of each only whose it is and which document it is of: what is asked beside nearness
is asked of these two alone. Texts, names and collections are in SQL, which has the last word on what exists: a hit
whose piece is not there any more is passed over by who asked.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from domain.documents import Hit, Index, Key, Vector


class VectorStore(Protocol):
    """Vectors by index, owner and document. Failures that are nobody's mistake are `storage_unavailable`."""

    async def add(
        self, index: Index, owner: str, document_id: str, vectors: Sequence[Vector], *, first: int = 0
    ) -> None:
        """Keep the vectors of the pieces `first`, `first + 1`, ...; what is there already is written over."""

    async def search(
        self, index: Index, owner: str, vector: Vector, *, document_ids: Collection[str] | None, limit: int
    ) -> list[Hit]:
        """The owner's nearest pieces, best first; with `document_ids` of these documents only, and of none if empty."""

    async def scores(self, index: Index, owner: str, vector: Vector, keys: Collection[Key]) -> dict[Key, float]:
        """The cosines of these pieces of the owner's, some hundred at most: of those whose vectors are there."""

    async def delete(self, owner: str, document_id: str) -> None:
        """Forget the document's vectors, in every index."""

    async def drop(self, index: Index) -> None:
        """Forget a whole index."""

    async def close(self) -> None:
        """Let go of connections and files."""
