"""Where the tests keep vectors. A new kind of store is a class here, and a name in `conftest.py`."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from domain.documents import Vector
from stores.sql.documents.store import DocumentStore
from stores.sql.engine.database import open_database
from stores.vectors.base import VectorStore
from stores.vectors.pgvector import PgVectors
from stores.vectors.sqlite import SqliteVectors

Matrix = NDArray[np.float32]


class Place(Protocol):
    """One place, empty at first. `recall` is the share of the nearest of 10,000 that a search must find."""

    recall: float
    shared: bool
    """Whether two may have it open at once."""

    def open(self) -> AbstractAsyncContextManager[VectorStore]:
        """Open it, as another process would; what is in it stays."""

    async def know(self, owner: str, *document_ids: str) -> None:
        """Make these documents known, where vectors are kept only of documents that are."""


class SqlPlace:
    """Beside the documents, in either database."""

    recall = 1.0
    shared = True

    def __init__(self, url: str) -> None:
        self.url = url

    @asynccontextmanager
    async def open(self) -> AsyncIterator[VectorStore]:
        async with open_database(self.url) as database:
            store: VectorStore = SqliteVectors(database) if database.dialect == "sqlite" else PgVectors(database)
            yield store
            await store.close()

    async def know(self, owner: str, *document_ids: str) -> None:
        async with open_database(self.url) as database:
            for document_id in document_ids:
                await DocumentStore(database).add(owner, document_id, "n", b"", document_id, [], 1.0, limit=1_000)


def unit(*numbers: float) -> Vector:
    """A vector of length 1 in this direction."""
    vector = np.array(numbers, dtype="<f4")
    return bytes((vector / np.linalg.norm(vector)).astype("<f4").tobytes())


def random_matrix(rows: int, dimension: int, seed: int) -> Matrix:
    """Directions that are the same each time."""
    numbers = np.random.default_rng(seed).normal(size=(rows, dimension)).astype("<f4")
    return np.asarray(numbers / np.linalg.norm(numbers, axis=1, keepdims=True), dtype="<f4")


def as_vectors(matrix: Matrix) -> list[Vector]:
    """Its rows."""
    return [row.tobytes() for row in matrix]
