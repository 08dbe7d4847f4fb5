"""Vectors that are kept beside their documents: gone with them, and never there without."""

import asyncio
import subprocess
import sys
import textwrap

import pytest

from domain.documents import Index
from domain.messages import new_id
from stores.sql.documents.store import DocumentStore
from stores.sql.engine.database import open_database
from tests.stores.vectors.places import SqlPlace, unit
from tests.support.server import ROOT

INDEX = Index("m", 2)
EAST = unit(1, 0)

pytestmark = pytest.mark.parametrize("place", ["sqlite", "pgvector"], indirect=True)


async def test_a_deleted_documents_vectors_are_gone_and_none_are_kept_afterwards(place: SqlPlace) -> None:
    one, two, other = new_id(), new_id(), new_id()
    await place.know("ann", one, two)
    await place.know("bob", other)
    async with place.open() as store, open_database(place.url) as database:
        documents = DocumentStore(database)
        for owner, document_id in (("ann", one), ("ann", two), ("bob", other)):
            await store.add(INDEX, owner, document_id, [EAST])

        async def found(owner: str) -> list[str]:
            hits = await store.search(INDEX, owner, EAST, document_ids=None, limit=9)
            return sorted(hit.key.document_id for hit in hits)

        assert await found("ann") == sorted([one, two])
        await documents.delete("ann", one)
        assert await found("ann") == [two]
        await store.add(INDEX, "ann", one, [EAST])
        await store.add(INDEX, "ann", other, [EAST])
        assert await found("ann") == [two]
        await documents.delete_all("ann")
        assert (await found("ann"), await found("bob")) == ([], [other])


async def test_a_process_that_writes_is_followed_by_one_that_searches(place: SqlPlace) -> None:
    """What the other has said to have done is found, or gone, each time."""
    program = """
        import asyncio, sys
        from domain.documents import Index
        from tests.stores.vectors.places import SqlPlace, unit

        async def main():
            async with SqlPlace(sys.argv[1]).open() as store:
                for number in range(20):
                    await store.add(Index("m", 2), "ann", sys.argv[2], [unit(1, 0)] * (number + 1))
                    print(number + 1, flush=True)
                    sys.stdin.readline()
                    await store.delete("ann", sys.argv[2])
                    print(0, flush=True)
                    sys.stdin.readline()

        asyncio.run(main())
    """
    document_id = new_id()
    await place.know("ann", document_id)
    command = [sys.executable, "-c", textwrap.dedent(program), place.url, document_id]
    pipe = subprocess.PIPE
    async with place.open() as store:
        writer = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=ROOT)
        assert writer.stdin is not None
        assert writer.stdout is not None
        for _ in range(40):
            said = await writer.stdout.readline()
            hits = await store.search(INDEX, "ann", EAST, document_ids=None, limit=99)
            assert len(hits) == int(said)
            writer.stdin.write(b"\n")
        assert await writer.wait() == 0
