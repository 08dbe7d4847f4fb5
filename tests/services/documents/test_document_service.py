"""Documents as their owners have them, where a store of vectors is not to be reached."""

from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from domain.callers import LOCAL
from domain.documents import Hit, Index, PieceKey, Vector
from domain.errors import StreamForgeError
from services.documents.document_service import DocumentService
from services.storage import Storage

ID = "d" * 32


class Elsewhere:
    """Vectors on another machine, by their documents."""

    def __init__(self) -> None:
        self.kept = {ID: 3}
        self.away = False

    async def add(
        self, index: Index, owner: str, document_id: str, vectors: Sequence[Vector], *, first: int = 0
    ) -> None:
        raise NotImplementedError

    async def search(
        self, index: Index, owner: str, vector: Vector, *, document_ids: Collection[str] | None, limit: int
    ) -> list[Hit]:
        raise NotImplementedError

    async def scores(
        self, index: Index, owner: str, vector: Vector, keys: Collection[PieceKey]
    ) -> dict[PieceKey, float]:
        raise NotImplementedError

    async def delete(self, owner: str, document_id: str) -> None:
        if self.away:
            raise StreamForgeError("storage_unavailable")
        self.kept.pop(document_id, None)

    async def drop(self, index: Index) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    storage = Storage(f"sqlite:///{tmp_path / 'data' / 'streamforge.db'}")
    yield storage
    await storage.close()


async def test_a_document_whose_vectors_are_not_to_be_reached_can_be_deleted_again(storage: Storage) -> None:
    vectors = Elsewhere()
    unused = cast(Any, None)
    service = DocumentService(storage, unused, unused, vectors, queued=9)
    stores = await storage.open()
    await stores.documents.add(LOCAL.id, ID, "a.txt", b"fish", "digest", (), 1.0, limit=9)
    vectors.away = True
    with pytest.raises(StreamForgeError) as refused:
        await service.delete(LOCAL, ID)
    assert refused.value.code == "storage_unavailable"
    assert (await service.get(LOCAL, ID)).id == ID
    vectors.away = False
    await service.delete(LOCAL, ID)
    assert vectors.kept == {}
    with pytest.raises(StreamForgeError) as gone:
        await service.delete(LOCAL, ID)
    assert gone.value.code == "document_not_found"
