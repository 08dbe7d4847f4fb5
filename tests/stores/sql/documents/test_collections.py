"""Collections: names that documents are filed under, by their owners."""

import asyncio
import hashlib

import pytest

from domain.documents import MAX_COLLECTIONS, Collection
from domain.errors import StreamForgeError
from domain.messages import new_id
from stores.sql.documents.collections import CollectionStore
from stores.sql.documents.store import DocumentStore
from stores.sql.engine.database import Database, open_database


@pytest.fixture
def documents(database: Database) -> DocumentStore:
    return DocumentStore(database)


@pytest.fixture
def collections(database: Database) -> CollectionStore:
    return CollectionStore(database)


async def added(documents: DocumentStore, content: str, *names: str, owner: str = "ann", now: float = 1.0) -> str:
    digest = hashlib.sha256(content.encode()).hexdigest()
    document, _ = await documents.add(owner, new_id(), content, content.encode(), digest, names, now, limit=100)
    return document.id


async def test_what_is_in_a_collection_is_summed(documents: DocumentStore, collections: CollectionStore) -> None:
    assert await collections.get("ann", "sea") == Collection("sea")
    ready = await added(documents, "fish", "sea", "food", now=1.0)
    await documents.take("w", 2.0, 10, attempts=3)
    await documents.complete(ready, "w", [], 5.0)
    broken = await added(documents, "whale", "sea", now=2.0)
    await documents.take("w", 3.0, 10, attempts=3)
    await documents.fail(broken, "w", "document_broken", 4.0)
    await added(documents, "crab", "sea", now=3.0)
    await added(documents, "bobs", "sea", owner="bob", now=9.0)
    assert await collections.get("ann", "sea") == Collection("sea", 1, 1, 1, 13, 1.0, 5.0)
    assert await collections.get("ann", "food") == Collection("food", 1, 0, 0, 4, 1.0, 5.0)
    assert list(await collections.list("bob", after=None, limit=9)) == [Collection("sea", 0, 0, 1, 4, 9.0, 9.0)]


async def test_they_are_listed_by_name_in_parts(documents: DocumentStore, collections: CollectionStore) -> None:
    await added(documents, "fish", "b", "a", "d", "c")
    seen: list[str] = []
    while page := await collections.list("ann", after=seen[-1] if seen else None, limit=3):
        seen += [collection.name for collection in page]
    assert seen == ["a", "b", "c", "d"]


@pytest.mark.parametrize("name", ["\0", "sea\0", "\ud800"])
async def test_a_name_that_no_collection_can_have_finds_nothing(documents: DocumentStore, name: str) -> None:
    fish = await added(documents, "fish", "sea")
    await documents.take("w", 2.0, 10, attempts=3)
    await documents.complete(fish, "w", [], 3.0)
    assert (await documents.list("ann", collection=name, after=None, limit=9)).items == []
    assert (await documents.scope("ann", ids=None, collections=[name]))[1] == []
    assert (await documents.scope("ann", ids=None, collections=[name, "sea"]))[1] == [fish]


async def test_a_document_is_put_in_and_taken_out_and_stays(
    documents: DocumentStore, collections: CollectionStore
) -> None:
    fish, crab = await added(documents, "fish", "food"), await added(documents, "crab")
    for document_id in (fish, crab, fish):
        document = await collections.put_in("ann", "sea", document_id)
        assert document is not None
        assert "sea" in document.collections
    assert (await collections.get("ann", "sea")).waiting == 2
    assert await collections.put_in("bob", "sea", fish) is None
    assert not await collections.take_out("bob", "sea", fish)
    assert not await collections.take_out("bob", "sea")
    assert await collections.take_out("ann", "sea", fish)
    assert not await collections.take_out("ann", "sea", fish)
    assert (await collections.get("ann", "sea")).waiting == 1
    assert await collections.take_out("ann", "sea")
    assert await collections.get("ann", "sea") == Collection("sea")
    found = await documents.get("ann", fish)
    assert found is not None
    assert found.collections == ("food",)


async def test_a_document_is_in_so_many_and_no_more(
    documents: DocumentStore, collections: CollectionStore, url: str
) -> None:
    fish = await added(documents, "fish", *map(str, range(MAX_COLLECTIONS - 1)))
    async with open_database(url) as second:
        both = await asyncio.gather(
            collections.put_in("ann", "x", fish),
            CollectionStore(second).put_in("ann", "y", fish),
            return_exceptions=True,
        )
    assert sum(isinstance(one, StreamForgeError) and one.code == "invalid_request" for one in both) == 1
    found = await documents.get("ann", fish)
    assert found is not None
    assert len(found.collections) == MAX_COLLECTIONS
