"""The database, whichever it is.

What a store wants done it hands over as a function of a SQLAlchemy `Connection`, which runs as a whole: in a thread
on SQLite, where a hop between threads costs more than a statement, and on the event loop on PostgreSQL. So it must
not wait for anything but the connection, and may run a second time if the first came to nothing.

Failures that are nobody's mistake are `storage_unavailable` and `storage_full`; every wait has an end.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from stores.sql.engine.address import sqlite_file

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait for a turn (a connection, or the right to write), and for what is then done."""

    turn: float = 5
    work: float = 10


PATIENCE = Patience()


class Database(Protocol):
    """Where work is done."""

    dialect: str

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do it in one transaction: all of it or, where it raises, nothing."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do it where nothing is changed. Each statement sees what is committed when it begins."""

    async def close(self) -> None:
        """Let go of every connection."""


@asynccontextmanager
async def open_database(url: str, *, patience: Patience = PATIENCE, connections: int = 5) -> AsyncIterator[Database]:
    """The database at this URL, with at most so many connections; closed at the end.

    An SQLite file is made, or brought up to date; `SchemaError` where the database cannot be used as it is.
    """
    from stores.sql.engine.schema import prepare

    await asyncio.to_thread(prepare, url)
    database = await asyncio.to_thread(_connect, url, patience, connections)
    try:
        yield database
    finally:
        await database.close()


def _connect(url: str, patience: Patience, connections: int) -> Database:
    file = sqlite_file(url)
    if file is None:
        from stores.sql.engine.postgres import PostgresDatabase

        return PostgresDatabase(url, patience, connections)
    from stores.sql.engine.sqlite import SqliteDatabase

    return SqliteDatabase(file, patience, connections)
