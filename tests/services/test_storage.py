"""The database is opened by its first use, and by none before; while it cannot be opened, each use tries again."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from domain.callers import LOCAL
from services.storage import Storage, StorageError
from stores.sql.engine.glance import VERSIONS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "streamforge.db"


@pytest.fixture
async def storage(file: Path) -> AsyncIterator[Storage]:
    storage = Storage(f"sqlite:///{file}")
    yield storage
    await storage.close()


async def sessions(storage: Storage) -> int:
    return len((await storage.sessions.list(LOCAL.id, None, 10)).items)


def become_newer(file: Path, version: str) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))


async def test_the_first_use_opens_the_database_and_the_store_itself_does_not(storage: Storage, tmp_path: Path) -> None:
    store = storage.sessions
    assert not os.listdir(tmp_path)
    await store.create(LOCAL.id, client_id=None, title="One", now=1.0)
    assert os.listdir(tmp_path) == ["data"]
    assert await sessions(storage) == 1


async def test_uses_that_come_together_open_it_once(storage: Storage) -> None:
    opened = await asyncio.gather(storage.open(), *(sessions(storage) for _ in range(5)), storage.open())
    assert opened[0] is opened[-1]


async def test_what_could_not_be_opened_is_tried_again(storage: Storage, file: Path) -> None:
    first = Storage(f"sqlite:///{file}")
    await first.open()
    await first.close()
    become_newer(file, "9999")
    for _ in range(2):
        with pytest.raises(StorageError, match="newer than this program"):
            await sessions(storage)
        assert not storage.opened
    become_newer(file, VERSIONS[-1])
    assert await sessions(storage) == 0
