"""What SQLite's store keeps in memory is what is in the file, whoever wrote it, and no more than it may be."""

import asyncio
import random
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pytest
from sqlalchemy import Connection, Executable

from domain.documents import Index, PieceKey, Vector
from domain.messages import new_id
from stores.sql.engine.database import Database, open_database
from stores.vectors.pgvector import PgVectors
from stores.vectors.sqlite import SqliteVectors
from tests.stores.vectors.places import SqlPlace, as_vectors, random_matrix, unit
from tests.support.server import ROOT

INDEX = Index("m", 4)
T = TypeVar("T")


class Interrupted:
    """A database in which something may happen between what is asked of the vectors there and their reading."""

    def __init__(self, database: Database) -> None:
        self.dialect = database.dialect
        self.write = database.write
        self.read = database.read
        self.close = database.close
        self.happens: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._database = database

    async def scan(self, work: Callable[[Connection], T], seconds: float | None = None, *, spent: float = 0) -> T:
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            while self.happens:
                asyncio.run_coroutine_threadsafe(self.happens.pop()(), loop).result(20)

        def interrupted(connection: Connection) -> T:
            return work(cast(Connection, _Statements(connection, interrupt)))

        return await self._database.scan(interrupted, seconds, spent=spent)


class _Statements:
    """A connection that tells when vectors are about to be read."""

    def __init__(self, connection: Connection, reads: Callable[[], None]) -> None:
        self._connection = connection
        self._reads = reads

    def execute(self, statement: Executable, *values: Any) -> Any:
        if "ORDER BY seq" in str(statement):
            self._reads()
        return self._connection.execute(statement, *values)


@pytest.fixture
def place(tmp_path: Path) -> SqlPlace:
    return SqlPlace(f"sqlite:///{tmp_path / 'streamforge.db'}")


@pytest.mark.parametrize("kept", [10_000, 5 * 4 * INDEX.dimension, 0])
async def test_after_any_changes_by_two_the_answer_is_that_of_a_plain_list(place: SqlPlace, kept: int) -> None:
    """With room for all, for a few, and for none."""
    chance = random.Random(kept)
    ids = {owner: [new_id() for _ in range(4)] for owner in ("ann", "bob")}
    for owner, mine in ids.items():
        await place.know(owner, *mine)
    there: dict[tuple[str, PieceKey], Vector] = {}
    async with open_database(place.url) as one, open_database(place.url) as other:
        stores = [SqliteVectors(one, kept=kept), SqliteVectors(other, kept=kept)]
        for _ in range(300):
            store, owner = chance.choice(stores), chance.choice(["ann", "bob"])
            document_id = chance.choice(ids[owner])
            if chance.random() < 0.6:
                first, count = chance.randrange(4), chance.randrange(1, 4)
                added = [unit(*(chance.gauss(0, 1) for _ in range(4))) for _ in range(count)]
                await store.add(INDEX, owner, document_id, added, first=first)
                there |= {(owner, PieceKey(document_id, at)): vector for at, vector in enumerate(added, first)}
            elif chance.random() < 0.9:
                await store.delete(owner, document_id)
                there = {at: vector for at, vector in there.items() if at[1].document_id != document_id}
            else:
                await store.drop(INDEX)
                there = {}
            meant = chance.choice([None, ids[owner][:2]])
            question = unit(*(chance.gauss(0, 1) for _ in range(4)))
            hits = await chance.choice(stores).search(INDEX, owner, question, document_ids=meant, limit=5)
            scores = {
                key: float(np.dot(np.frombuffer(vector, "<f4"), np.frombuffer(question, "<f4")))
                for (whose, key), vector in there.items()
                if whose == owner and (meant is None or key.document_id in meant)
            }
            expected = sorted(scores, key=lambda key: -scores[key])[:5]
            assert [hit.key for hit in hits] == expected
            assert [hit.score for hit in hits] == pytest.approx([scores[key] for key in expected], abs=1e-5)


async def test_what_is_written_over_while_it_is_read_is_not_kept_beside_what_it_was(place: SqlPlace) -> None:
    document_id = new_id()
    await place.know("ann", document_id)
    before, after = unit(1, 0, 0, 0), unit(0, 1, 0, 0)

    async def found(store: SqliteVectors) -> list[tuple[int, float]]:
        hits = await store.search(INDEX, "ann", before, document_ids=None, limit=9)
        return [(hit.key.number, hit.score) for hit in hits]

    async with open_database(place.url) as database:
        interrupted = Interrupted(database)
        store, writer = SqliteVectors(interrupted), SqliteVectors(database)
        await writer.add(INDEX, "ann", document_id, [before] * 2)
        assert await found(store) == [(0, 1), (1, 1)]
        await writer.add(INDEX, "ann", document_id, [before], first=2)
        interrupted.happens.append(lambda: writer.add(INDEX, "ann", document_id, [after] * 2))
        await found(store)
        assert not interrupted.happens
        assert await found(store) == [(2, 1), (0, 0), (1, 0)]


async def test_more_than_is_read_at_a_time_is_found_too(place: SqlPlace) -> None:
    document_id = new_id()
    await place.know("ann", document_id)
    matrix = random_matrix(5_000, 4, seed=3)
    async with open_database(place.url) as database:
        for kept in (10_000_000, 0):
            store = SqliteVectors(database, kept=kept)
            await store.add(INDEX, "ann", document_id, as_vectors(matrix))
            for row in (0, 1_999, 2_000, 4_999):
                vector = matrix[row].tobytes()
                (hit,) = await store.search(INDEX, "ann", vector, document_ids=None, limit=1)
                assert hit.key == PieceKey(document_id, row)
                (hit,) = await store.search(INDEX, "ann", vector, document_ids=[document_id], limit=1)
                assert hit.key == PieceKey(document_id, row)


async def test_of_those_that_are_equally_near_the_oldest_come_first(place: SqlPlace) -> None:
    document_id = new_id()
    await place.know("ann", document_id)
    async with place.open() as store:
        await store.add(INDEX, "ann", document_id, [unit(1, 0, 0, 0)] * 50)
        hits = await store.search(INDEX, "ann", unit(1, 0, 0, 0), document_ids=None, limit=10)
        assert [hit.key.number for hit in hits] == list(range(10))


async def test_a_vector_of_another_length_is_a_mistake_of_the_program(place: SqlPlace) -> None:
    async with place.open() as store:
        with pytest.raises(ValueError, match="length"):
            await store.add(INDEX, "ann", new_id(), [unit(1, 0)])
        with pytest.raises(ValueError, match="length"):
            await store.search(INDEX, "ann", unit(1, 0), document_ids=None, limit=1)


async def test_a_store_is_for_its_own_database(place: SqlPlace, postgres_url: str) -> None:
    async with open_database(place.url) as sqlite, open_database(postgres_url) as postgres:
        with pytest.raises(ValueError, match="SQLite only"):
            SqliteVectors(postgres)
        with pytest.raises(ValueError, match="PostgreSQL only"):
            PgVectors(sqlite)


def test_numpy_is_not_imported_before_a_search(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from stores.sql.engine.database import open_database\n"
        "from stores.vectors.sqlite import SqliteVectors\n"
        "from domain.documents import Index\n"
        "async def main():\n"
        "    async with open_database(sys.argv[1]) as database:\n"
        "        store = SqliteVectors(database)\n"
        "        await store.add(Index('m', 1), 'ann', 'd', [bytes(4)])\n"
        "        assert 'numpy' not in sys.modules\n"
        "        assert await store.search(Index('m', 1), 'ann', bytes(4), document_ids=None, limit=1) == []\n"
        "asyncio.run(main())\n"
    )
    url = f"sqlite:///{tmp_path / 'streamforge.db'}"
    ended = subprocess.run([sys.executable, "-c", program, url], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
