"""Documents: kept once, listed newest first, found by their pieces, gone for good, and nobody else's business."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import Connection, text

from domain.documents import MAX_COLLECTIONS, Chunk, Document, Index, Passage, PieceKey
from domain.errors import StreamForgeError
from domain.messages import new_id
from stores.sql.documents.collections import CollectionStore
from stores.sql.documents.store import DocumentStore
from stores.sql.engine.database import Database, open_database

PIECES = (
    Chunk(0, "Fish swim. 中文 🦊", 0, 14, 1, "Animals > Fish"),
    Chunk(1, "Birds fly.", 16, 26, 2, "Animals > Birds"),
    Chunk(2, "Nothing else does.", 28, 46),
)


@pytest.fixture
def documents(database: Database) -> DocumentStore:
    return DocumentStore(database)


@pytest.fixture
def collections(database: Database) -> CollectionStore:
    return CollectionStore(database)


async def counted(collections: CollectionStore, owner: str, *, limit: int) -> list[tuple[str, int]]:
    return [(each.name, each.documents) for each in await collections.list(owner, after=None, limit=limit)]


async def added(
    documents: DocumentStore,
    owner: str = "ann",
    content: bytes = b"fish",
    *,
    collections: Sequence[str] = (),
    now: float = 1.0,
    limit: int = 100,
) -> Document:
    digest = hashlib.sha256(content).hexdigest()
    document, _ = await documents.add(owner, new_id(), "fish.txt", content, digest, collections, now, limit=limit)
    return document


async def read(
    documents: DocumentStore,
    owner: str = "ann",
    content: bytes = b"fish",
    pieces: Sequence[Chunk] = PIECES,
    **more: object,
) -> str:
    """A document that is ready, which is the only one that waits; its id."""
    document = await added(documents, owner, content, **more)  # type: ignore[arg-type]
    job = await documents.take("w", 2.0, 10, attempts=3)
    assert job is not None
    assert job.document.id == document.id
    assert await documents.complete(document.id, "w", pieces, 3.0)
    return document.id


async def rows_left(database: Database) -> dict[str, int]:
    tables = ["documents", "document_contents", "document_collections", "document_chunks"]
    tables += ["document_vectors"] if database.dialect == "sqlite" else []

    def count(connection: Connection) -> dict[str, int]:
        return {name: connection.scalar(text(f"SELECT count(*) FROM {name}")) or 0 for name in tables}

    return await database.read(count)


async def test_a_document_comes_back_as_it_was_given(documents: DocumentStore) -> None:
    content = bytes(range(256)) * 5_000
    document = await added(documents, content=content, collections=["b", "a", "b"], now=5.5)
    assert document == Document(
        document.id,
        "ann",
        "fish.txt",
        hashlib.sha256(content).hexdigest(),
        len(content),
        "queued",
        5.5,
        5.5,
        ("a", "b"),
    )
    assert await documents.get("ann", document.id) == document
    assert await documents.content("ann", document.id) == content


async def test_the_same_bytes_are_one_document_in_all_the_collections(documents: DocumentStore) -> None:
    first = await added(documents, collections=["a", "b"])
    again, is_new = await documents.add("ann", new_id(), "other", b"fish", first.digest, ["c", "b"], 9.0, limit=1)
    assert not is_new
    assert again.id == first.id
    assert (again.name, again.collections, again.created) == ("fish.txt", ("a", "b", "c"), 1.0)
    assert await documents.get("ann", first.id) == again
    assert (await added(documents, "bob")).id != first.id


async def test_of_many_that_give_the_same_bytes_at_once_one_is_new(documents: DocumentStore) -> None:
    async def add() -> tuple[Document, bool]:
        return await documents.add("ann", new_id(), "n", b"x", "d", [], 1.0, limit=100)

    outcomes = await asyncio.gather(*(add() for _ in range(8)))
    assert len({document.id for document, _ in outcomes}) == 1
    assert sum(is_new for _, is_new in outcomes) == 1


async def failed(documents: DocumentStore, code: str = "document_crashed") -> Document:
    """A document that was tried three times, and has failed."""
    document = await added(documents, collections=["a"])
    for attempt in range(1, 4):
        job = await documents.take("w", 2.0 + attempt, 0.5, attempts=9)
        assert job is not None
        assert (job.document.id, job.attempt) == (document.id, attempt)
    assert await documents.advance(
        document.id, "w", "embedding", 6.0, media_type="text/plain", title="T", pages=7, stream_id="s" * 32
    )
    assert await documents.fail(document.id, "w", code, 7.0, detail="It is torn.")
    return document


async def test_bytes_that_failed_are_queued_anew_by_whoever_sends_them_first(documents: DocumentStore) -> None:
    """All who send them at once are told of the same document, which is tried as often as a new one."""
    before = await failed(documents)

    async def again() -> tuple[Document, bool]:
        return await documents.add("ann", new_id(), "x", b"fish", before.digest, ["b"], 9.0, limit=1)

    outcomes = await asyncio.gather(*(again() for _ in range(8)))
    assert not any(is_new for _, is_new in outcomes)
    expected = replace(before, state="queued", updated=9.0, collections=("a", "b"))
    assert [document for document, _ in outcomes] == [expected] * 8
    assert await documents.get("ann", before.id) == expected, "nothing is known of it but what was given"
    job = await documents.take("v", 10.0, 10, attempts=3)
    assert job is not None
    assert (job.document.id, job.attempt, job.content) == (before.id, 1, b"fish")
    assert not await documents.fail(before.id, "w", "document_crashed", 11.0), "who had it before has it no more"
    assert (await again())[0].state == "parsing", "and it is left alone while it is read"
    assert await documents.take("w", 12.0, 10, attempts=3) is None


async def test_bytes_that_failed_wait_in_the_queue_like_any_others(documents: DocumentStore) -> None:
    before = await failed(documents, "document_broken")
    await added(documents, content=b"other")
    with pytest.raises(StreamForgeError) as caught:
        await added(documents, collections=["b"], limit=1)
    assert caught.value.code == "too_many_documents"
    there = await documents.get("ann", before.id)
    assert there is not None
    assert (there.state, there.code, there.collections) == ("failed", "document_broken", ("a",))


async def test_an_owner_has_so_many_waiting_and_no_more_however_many_come_at_once(documents: DocumentStore) -> None:
    async def add(number: int) -> str:
        try:
            await added(documents, content=b"%d" % number, limit=3)
        except StreamForgeError as error:
            return error.code
        return "taken"

    outcomes = await asyncio.gather(*(add(number) for number in range(10)))
    assert sorted(outcomes) == ["taken"] * 3 + ["too_many_documents"] * 7
    await added(documents, "bob", limit=3)
    assert await documents.take("w", 2.0, 10, attempts=3) is not None
    assert await documents.take("w", 2.0, 10, attempts=3) is not None
    assert await add(99) == "taken"


async def test_a_document_is_in_so_many_collections_and_no_more(
    documents: DocumentStore, collections: CollectionStore
) -> None:
    names = [f"c{number}" for number in range(MAX_COLLECTIONS)]
    await added(documents, collections=names)
    await added(documents, collections=names)
    with pytest.raises(StreamForgeError) as caught:
        await added(documents, collections=["one more"])
    assert caught.value.code == "invalid_request"
    assert [name for name, _ in await counted(collections, "ann", limit=99)] == sorted(names)


@pytest.mark.parametrize("collection", [None, "even"])
async def test_pages_show_every_document_once_newest_first(documents: DocumentStore, collection: str | None) -> None:
    moments = [5.25, 1763800000.1234567, 7.0, 7.0, 7.0, 0.5]
    for number, moment in enumerate(moments):
        collections = ["even"] if number % 2 == 0 else ["odd", "other"]
        await added(documents, content=b"%d" % number, now=moment, collections=collections)
    await added(documents, "bob", collections=["even"])
    seen: list[Document] = []
    after = None
    while True:
        page = await documents.list("ann", collection=collection, after=after, limit=2)
        assert len(page.items) <= 2
        seen += page.items
        after = page.next
        if after is None:
            break
    meant = moments if collection is None else moments[::2]
    assert [document.created for document in seen] == sorted(meant, reverse=True)
    assert len({document.id for document in seen}) == len(meant)
    assert {document.collections for document in seen} <= {("even",), ("odd", "other")}


@pytest.mark.parametrize("cursor", ["", "x", "1.0", "1.0-zz", "nan-" + "0" * 32])
async def test_a_cursor_that_is_none_of_ours_is_refused(documents: DocumentStore, cursor: str) -> None:
    with pytest.raises(StreamForgeError) as caught:
        await documents.list("ann", collection=None, after=cursor, limit=2)
    assert caught.value.code == "malformed_page"


async def test_collections_are_counted_by_name(documents: DocumentStore, collections: CollectionStore) -> None:
    for number, names in enumerate([["b"], ["a", "b"], []]):
        await added(documents, content=b"%d" % number, collections=names)
    await added(documents, "bob", collections=["z"])
    assert await counted(collections, "ann", limit=9) == [("a", 1), ("b", 2)]
    assert await counted(collections, "ann", limit=1) == [("a", 1)]


async def test_passages_come_in_the_order_asked_for_if_they_are_there(documents: DocumentStore) -> None:
    document_id = await read(documents)
    other = await read(documents, "bob")
    keys = [
        PieceKey(document_id, 2),
        PieceKey(other, 0),
        PieceKey(document_id, 0),
        PieceKey(document_id, 9),
        PieceKey(new_id(), 0),
    ]
    assert list(await documents.passages("ann", keys)) == [
        Passage(PieceKey(document_id, 2), "fish.txt", "fish.txt", "Nothing else does."),
        Passage(PieceKey(document_id, 0), "fish.txt", "fish.txt", "Fish swim. 中文 🦊", 1, "Animals > Fish"),
    ]
    assert list(await documents.passages("ann", [])) == []
    assert list(await documents.chunks("ann", document_id)) == list(PIECES)
    assert list(await documents.chunks("bob", document_id)) == []


async def test_a_documents_own_title_comes_before_its_name(documents: DocumentStore) -> None:
    await added(documents)
    job = await documents.take("w", 2.0, 10, attempts=3)
    assert job is not None
    await documents.advance(job.document.id, "w", "splitting", 3.0, title="On fish" + "!" * 300)
    await documents.complete(job.document.id, "w", PIECES, 4.0)
    (passage,) = await documents.passages("ann", [PieceKey(job.document.id, 1)])
    assert passage.title.startswith("On fish!")
    assert len(passage.title) == 255


async def meant(
    documents: DocumentStore, owner: str, *, ids: Sequence[str] | None, collections: Sequence[str] | None
) -> Sequence[str] | None:
    _, found = await documents.scope(owner, ids=ids, collections=collections)
    return found


async def test_of_those_meant_only_ones_own_that_are_ready_are_selected(documents: DocumentStore) -> None:
    one = await read(documents, content=b"1", collections=["a"])
    two = await read(documents, content=b"2", collections=["b", "c"])
    three = await read(documents, content=b"3")
    other = await read(documents, "bob", content=b"1", collections=["a"])
    waiting = (await added(documents, content=b"4", collections=["a"])).id
    everything = [one, two, three, other, waiting]
    assert await meant(documents, "ann", ids=None, collections=None) is None
    assert (await documents.take("w", 9.0, 10, attempts=3)) is not None
    assert await meant(documents, "ann", ids=None, collections=None) is None
    await documents.advance(waiting, "w", "splitting", 10.0, media_type="text/plain")
    assert await meant(documents, "ann", ids=None, collections=None) == sorted([one, two, three]), "it may have vectors"
    assert await meant(documents, "bob", ids=None, collections=None) is None
    assert await meant(documents, "ann", ids=everything, collections=None) == sorted([one, two, three])
    assert await meant(documents, "ann", ids=None, collections=["a", "c", "c"]) == sorted([one, two])
    assert await meant(documents, "ann", ids=[three], collections=["a"]) == sorted([one, three])
    assert await meant(documents, "ann", ids=[], collections=None) == []
    assert await meant(documents, "ann", ids=[], collections=["none"]) == []
    assert await meant(documents, "ann", ids=[new_id() for _ in range(40_000)] + [one], collections=None) == [one]


async def test_of_a_deleted_document_nothing_is_left(documents: DocumentStore, database: Database) -> None:
    document_id = await read(documents, collections=["a"])
    vectors = "INSERT INTO document_vectors (document_id, owner, model, dimension, number, vector) "
    if database.dialect == "sqlite":
        insert = text(vectors + "VALUES (:id, 'ann', 'm', 1, 0, x'00000000')")
        await database.write(lambda connection: connection.execute(insert, {"id": document_id}))
    assert set((await rows_left(database)).values()) == {1, 3}
    assert not await documents.delete("bob", document_id)
    assert set((await rows_left(database)).values()) == {1, 3}
    assert await documents.delete("ann", document_id)
    assert not await documents.delete("ann", document_id)
    assert set((await rows_left(database)).values()) == {0}
    assert list(await documents.keywords("ann", "fish", document_ids=None, limit=9)) == []
    assert list(await documents.passages("ann", [PieceKey(document_id, 0)])) == []
    assert await documents.content("ann", document_id) is None
    if database.dialect == "sqlite":
        check = text("INSERT INTO document_words (document_words, rank) VALUES ('integrity-check', 1)")
        await database.write(lambda connection: connection.execute(check))


async def test_delete_all_leaves_other_owners_alone(documents: DocumentStore) -> None:
    own = [await read(documents, content=b"%d" % number, collections=["a"]) for number in range(3)]
    other = await read(documents, "bob", collections=["a"])
    assert sorted(await documents.delete_all("ann")) == sorted(own)
    assert list(await documents.delete_all("ann")) == []
    assert (await documents.list("ann", collection=None, after=None, limit=9)).items == []
    assert [document.id for document in (await documents.list("bob", collection="a", after=None, limit=9)).items] == [
        other
    ]
    assert len(await documents.keywords("bob", "fish", document_ids=None, limit=9)) == 1


async def test_who_is_not_the_owner_sees_nothing(documents: DocumentStore, collections: CollectionStore) -> None:
    document_id = await read(documents, collections=["a"])
    assert await documents.get("bob", document_id) is None
    assert await documents.content("bob", document_id) is None
    assert (await documents.list("bob", collection="a", after=None, limit=9)).items == []
    assert await counted(collections, "bob", limit=9) == []
    assert await meant(documents, "bob", ids=[document_id], collections=["a"]) == []
    assert list(await documents.passages("bob", [PieceKey(document_id, 0)])) == []
    assert list(await documents.keywords("bob", "fish", document_ids=[document_id], limit=9)) == []


async def test_the_first_index_answers_until_another_is_switched_to(documents: DocumentStore, url: str) -> None:
    small, large = Index("small", 2), Index("large", 3)
    assert await documents.index() is None
    async with open_database(url) as second:
        chosen = await asyncio.gather(documents.use(small, 1.0), DocumentStore(second).use(large, 1.0))
    assert len(set(chosen)) == 1
    other = ({small, large} - set(chosen)).pop()
    assert await documents.use(other, 2.0) == await documents.index() == chosen[0]
    assert await documents.switch(other, 3.0)
    assert await documents.index() == other


async def test_switching_makes_the_first_index_too(documents: DocumentStore) -> None:
    assert await documents.switch(Index("m", 2), 1.0)
    assert await documents.index() == Index("m", 2)


async def test_an_index_answers_only_when_it_holds_every_ready_document(documents: DocumentStore) -> None:
    old, new = Index("old", 2), Index("new", 2)
    await documents.use(old, 1.0)
    ids = sorted([await read(documents, owner, content=owner.encode()) for owner in ("ann", "bob", "eve")])
    await added(documents, content=b"waits")
    assert [document.id for document in await documents.lacking(new, 2)] == ids[:2]
    assert await documents.left(new) == (3, 3 * len(PIECES))
    for document_id in ids:
        assert not await documents.switch(new, 2.0)
        assert await documents.note(document_id, new)
        assert await documents.note(document_id, new)  # as one does who was stopped in between
    assert await documents.left(new) == (0, 0)
    assert await documents.switch(new, 3.0)
    assert await documents.index() == new


async def test_a_document_is_ready_only_in_the_index_that_answers(documents: DocumentStore) -> None:
    old, new = Index("old", 2), Index("new", 2)
    await documents.use(old, 1.0)
    document = await added(documents)
    await documents.take("w", 2.0, 10, attempts=3)
    await documents.switch(new, 3.0)
    with pytest.raises(StreamForgeError, match="another model"):
        await documents.complete(document.id, "w", PIECES, 4.0, index=old)
    found = await documents.get("ann", document.id)
    assert found is not None
    assert found.state == "parsing"
    assert await documents.complete(document.id, "w", PIECES, 4.0, index=new)
    assert await documents.left(new) == (0, 0)


async def test_an_index_forgets_what_is_deleted_and_is_forgotten_itself(documents: DocumentStore) -> None:
    old, new = Index("old", 2), Index("new", 2)
    document_id = await read(documents)
    assert await documents.note(document_id, old)
    assert list(await documents.others(new)) == [old]
    assert list(await documents.others(old)) == []
    await documents.delete("ann", document_id)
    assert list(await documents.others(new)) == []
    assert not await documents.note(document_id, old)
    kept = await read(documents)
    await documents.note(kept, old)
    await documents.note(kept, new)
    await documents.forget(old)
    assert list(await documents.others(new)) == []
    assert await documents.left(new) == (0, 0)


async def test_a_document_that_becomes_ready_while_the_index_is_switched_is_in_the_one_that_answers(
    documents: DocumentStore, url: str
) -> None:
    for turn in range(10):
        old, new = Index(f"{turn}", 2), Index(f"{turn + 1}", 2)
        await documents.use(old, 1.0)
        document = await added(documents, content=str(turn).encode())
        await documents.take("w", 2.0, 10, attempts=3)
        async with open_database(url) as second:
            completed, switched = await asyncio.gather(
                documents.complete(document.id, "w", PIECES, 4.0, index=old),
                DocumentStore(second).switch(new, 4.0),
                return_exceptions=True,
            )
        refused = isinstance(completed, StreamForgeError)
        assert refused or completed is True
        assert switched is refused  # one of the two
        await documents.delete("ann", document.id)
        await documents.switch(new, 5.0)


async def test_a_passage_says_what_kind_of_document_it_is_of(documents: DocumentStore) -> None:
    document = await added(documents)
    await documents.take("w", 2.0, 10, attempts=3)
    await documents.advance(document.id, "w", "splitting", 2.5, media_type="application/pdf", title="Fish")
    await documents.complete(document.id, "w", PIECES, 3.0)
    (passage,) = await documents.passages("ann", [PieceKey(document.id, 1)])
    assert (passage.media_type, passage.title, passage.heading) == ("application/pdf", "Fish", "Animals > Birds")
