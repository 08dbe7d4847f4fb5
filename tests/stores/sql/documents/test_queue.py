"""The queue of documents: shared fairly, by any number of workers, each of whom may be lost at any moment."""

import asyncio
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from domain.documents import Chunk, Document, IngestionJob, PieceKey
from domain.messages import new_id
from stores.sql.documents import queue
from stores.sql.documents.store import DocumentStore
from stores.sql.engine.address import sqlite_file
from stores.sql.engine.database import Database, open_database
from stores.sql.engine.glance import glance
from tests.support.server import ROOT

LEASE = 10.0
PIECE = Chunk(0, "Fish swim.", 0, 10)


@pytest.fixture
def documents(database: Database) -> DocumentStore:
    return DocumentStore(database)


async def queued(documents: DocumentStore, owner: str, *moments: float) -> list[str]:
    ids = [new_id() for _ in moments]
    for document_id, now in zip(ids, moments, strict=True):
        await documents.add(owner, document_id, "n", document_id.encode(), document_id, [], now, limit=1_000)
    return ids


async def taken(documents: DocumentStore, now: float = 100.0, worker: str = "w", attempts: int = 3) -> IngestionJob:
    job = await documents.take(worker, now, LEASE, attempts=attempts)
    assert job is not None
    return job


async def seen(documents: DocumentStore, document_id: str, owner: str = "ann") -> Document:
    document = await documents.get(owner, document_id)
    assert document is not None
    return document


async def test_a_document_goes_through_its_states_to_ready(documents: DocumentStore) -> None:
    (document_id,) = await queued(documents, "ann", 1.0)
    assert await documents.pending()
    job = await taken(documents)
    assert (job.document.id, job.content, job.attempt) == (document_id, document_id.encode(), 1)
    assert job.document == await seen(documents, document_id)
    assert (job.document.state, job.document.updated) == ("parsing", 100.0)
    assert await documents.advance(document_id, "w", "parsing", 101.0, stream_id="s" * 32)
    assert await documents.advance(document_id, "w", "splitting", 102.0, media_type="text/plain", title="T", pages=7)
    assert await documents.advance(document_id, "w", "embedding", 103.0)
    assert await documents.keywords("ann", "fish", document_ids=None, limit=9) == []
    assert await documents.complete(document_id, "w", [PIECE], 104.0)
    ready = await seen(documents, document_id)
    assert (ready.state, ready.updated, ready.media_type, ready.title, ready.pages, ready.chunks, ready.stream_id) == (
        "ready", 104.0, "text/plain", "T", 7, 1, "s" * 32,
    )  # fmt: skip
    assert await documents.keywords("ann", "fish", document_ids=None, limit=9) == [PieceKey(document_id, 0)]
    assert not await documents.pending()
    assert await documents.take("w", 200.0, LEASE, attempts=3) is None


async def test_a_document_that_fails_says_why_and_waits_no_more(documents: DocumentStore) -> None:
    (document_id,) = await queued(documents, "ann", 1.0)
    await taken(documents)
    assert await documents.fail(document_id, "w", "document_broken", 5.0, detail="It is torn.")
    failed = await seen(documents, document_id)
    assert (failed.state, failed.code, failed.detail, failed.updated) == (
        "failed", "document_broken", "It is torn.", 5.0,
    )  # fmt: skip
    assert not await documents.pending()
    assert await documents.take("w", 200.0, LEASE, attempts=3) is None


async def test_owners_take_turns_and_the_oldest_comes_first(documents: DocumentStore) -> None:
    ann = await queued(documents, "ann", 3.0, 1.0, 2.0)
    bob = await queued(documents, "bob", 9.0, 8.0)
    eve = await queued(documents, "eve", 5.0)
    order = [(await taken(documents)).document.id for _ in range(6)]
    assert order == [ann[1], eve[0], bob[1], ann[2], bob[0], ann[0]]


async def test_whose_work_is_done_is_served_before_whose_is_not(documents: DocumentStore) -> None:
    await queued(documents, "ann", 1.0, 2.0, 3.0)
    bob = await queued(documents, "bob", 4.0, 5.0)
    assert (await taken(documents)).document.owner == "ann"
    assert (await taken(documents)).document.id == bob[0]
    await documents.complete(bob[0], "w", [], 101.0)
    assert (await taken(documents)).document.id == bob[1]


async def test_many_workers_never_have_the_same_document(url: str) -> None:
    async with open_database(url) as database, open_database(url) as other:
        documents = DocumentStore(database)
        ids = [*await queued(documents, "ann", *range(1, 11)), *await queued(documents, "bob", *range(1, 11))]

        async def work(store: DocumentStore, worker: str) -> list[str]:
            mine = []
            while (job := await store.take(worker, 100.0, LEASE, attempts=3)) is not None:
                mine.append(job.document.id)
                assert await store.complete(job.document.id, worker, [PIECE], 101.0)
            return mine

        stores = [documents, DocumentStore(other)]
        done = await asyncio.gather(*(work(stores[number % 2], f"w{number}") for number in range(6)))
        assert Counter(document_id for part in done for document_id in part) == Counter(ids)


async def test_a_lease_that_is_renewed_does_not_end_and_one_that_ends_lets_another_in(documents: DocumentStore) -> None:
    (document_id,) = await queued(documents, "ann", 1.0)
    await taken(documents, 100.0, "first")
    assert await documents.take("second", 109.9, LEASE, attempts=3) is None
    assert await documents.renew(document_id, "first", 109.0, LEASE)
    assert not await documents.renew(document_id, "second", 109.0, LEASE)
    assert await documents.take("second", 118.9, LEASE, attempts=3) is None
    assert (await taken(documents, 119.0, "second")).attempt == 2


def refused(documents: DocumentStore, document_id: str, worker: str) -> "Iterable[asyncio.Future[bool]]":
    return map(
        asyncio.ensure_future,
        (
            documents.renew(document_id, worker, 200.0, LEASE),
            documents.advance(document_id, worker, "embedding", 200.0),
            documents.complete(document_id, worker, [PIECE], 200.0),
            documents.fail(document_id, worker, "internal_error", 200.0),
        ),
    )


async def test_who_has_lost_the_lease_changes_nothing_any_more(documents: DocumentStore) -> None:
    (document_id,) = await queued(documents, "ann", 1.0)
    await taken(documents, 100.0, "first")
    await taken(documents, 110.0, "second")
    there = await seen(documents, document_id)
    assert await asyncio.gather(*refused(documents, document_id, "first")) == [False] * 4
    await documents.release(document_id, "first")
    assert await seen(documents, document_id) == there
    assert list(await documents.chunks("ann", document_id)) == []
    assert await documents.complete(document_id, "second", [PIECE], 111.0)


async def test_whose_document_is_deleted_learns_it_and_leaves_nothing(documents: DocumentStore) -> None:
    (document_id,) = await queued(documents, "ann", 1.0)
    await taken(documents)
    assert await documents.delete("ann", document_id)
    assert await asyncio.gather(*refused(documents, document_id, "w")) == [False] * 4
    assert list(await documents.chunks("ann", document_id)) == []
    assert not await documents.pending()


async def test_what_is_done_stays_done(documents: DocumentStore) -> None:
    (document_id,) = await queued(documents, "ann", 1.0)
    await taken(documents)
    await documents.complete(document_id, "w", [PIECE], 101.0)
    assert await asyncio.gather(*refused(documents, document_id, "w")) == [False] * 4
    await documents.release(document_id, "w")
    assert (await seen(documents, document_id)).state == "ready"


async def test_what_is_put_back_is_next_and_has_lost_no_attempt(documents: DocumentStore) -> None:
    first, _ = await queued(documents, "ann", 1.0, 2.0)
    for _ in range(5):
        job = await taken(documents, attempts=2)
        assert (job.document.id, job.attempt) == (first, 1)
        await documents.release(first, "w")
        assert (await seen(documents, first)).state == "queued"


async def test_a_document_that_workers_are_lost_with_is_given_up(documents: DocumentStore) -> None:
    poison, fine = await queued(documents, "ann", 1.0, 2.0)
    assert (await taken(documents, 100.0, attempts=2)).document.id == poison
    assert (await taken(documents, 100.0, attempts=2)).document.id == fine
    await documents.complete(fine, "w", [], 101.0)
    again = await taken(documents, 110.0, attempts=2)
    assert (again.document.id, again.attempt) == (poison, 2)
    assert await documents.hopeless(119.9, attempts=2) == []
    assert await documents.take("w", 120.0, LEASE, attempts=2) is None
    given_up = await seen(documents, poison)
    assert (given_up.state, given_up.code, given_up.updated) == ("failed", "document_crashed", 120.0)
    assert not await documents.pending()


async def test_the_hopeless_are_listed_until_a_worker_takes_one(documents: DocumentStore) -> None:
    (document_id,) = await queued(documents, "ann", 1.0)
    await taken(documents, 100.0, attempts=1)
    for _ in range(2):
        (told,) = await documents.hopeless(110.0, attempts=1)
        assert told == await seen(documents, document_id)
    assert await documents.take("w", 110.0, LEASE, attempts=1) is None
    assert (await seen(documents, document_id)).code == "document_crashed"
    assert await documents.hopeless(110.0, attempts=1) == []


async def test_a_worker_that_is_killed_leaves_its_document_to_the_next(url: str) -> None:
    program = """
        import asyncio, os, signal, sys
        from stores.sql.engine.database import open_database
        from stores.sql.documents.store import DocumentStore

        async def main():
            async with open_database(sys.argv[1]) as database:
                job = await DocumentStore(database).take("killed", 100.0, 10.0, attempts=3)
                print(job.document.id, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """
    async with open_database(url) as database:
        documents = DocumentStore(database)
        (document_id,) = await queued(documents, "ann", 1.0)
        command = [sys.executable, "-c", textwrap.dedent(program), url]
        ended = await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.stdout.strip() == document_id, ended.stderr
        assert await documents.take("w", 105.0, LEASE, attempts=3) is None
        job = await taken(documents, 110.0)
        assert (job.document.id, job.attempt, job.content) == (document_id, 2, document_id.encode())


async def test_a_glance_tells_whether_documents_were_left(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'streamforge.db'}"
    file = sqlite_file(url)
    assert file is not None
    async with open_database(url) as database:
        documents = DocumentStore(database)
        assert not (await asyncio.to_thread(glance, file)).documents
        (document_id,) = await queued(documents, "ann", 1.0)
        assert (await asyncio.to_thread(glance, file)).documents
        await taken(documents)
        assert (await asyncio.to_thread(glance, file)).documents
        await documents.complete(document_id, "w", [], 2.0)
        assert not (await asyncio.to_thread(glance, file)).documents


async def test_the_queue_costs_what_waits_and_not_what_is_done(tmp_path: Path) -> None:
    """In steps of SQLite's machine."""

    def cost(connection: Connection) -> int:
        driver = connection.connection.driver_connection
        assert driver is not None
        steps: list[int] = []
        driver.set_progress_handler(lambda: steps.append(1), 1)
        assert queue.waits(connection, 100.0)
        assert queue.pending(connection)
        assert queue.take(connection, "w", 100.0, LEASE, 3) is not None
        driver.set_progress_handler(None, 0)
        return len(steps)

    async with open_database(f"sqlite:///{tmp_path / 'streamforge.db'}") as database:
        documents = DocumentStore(database)
        await queued(documents, "ann", 1.0)
        few = await database.write(cost)
        done = text(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
            "INSERT INTO documents (id, owner, name, digest, size, state, created, updated, attempts) "
            "SELECT i, 'ann', 'n', i, 1, 'ready', 0, 0, 1 FROM n"
        )
        await database.write(lambda connection: connection.execute(done))
        await queued(documents, "ann", 2.0)
        assert await database.write(cost) < few * 1.5
