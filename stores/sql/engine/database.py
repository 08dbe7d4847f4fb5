"""A database, SQLite or PostgreSQL.

A store passes its work as a function of a SQLAlchemy `Connection`, and the function runs as a whole: in a thread on
SQLite, where a hop between threads costs more than a statement, and on the event loop on PostgreSQL. So the function
must wait for nothing but the connection, and may run a second time if the first run was lost.

Failures of the database raise `storage_unavailable` or `storage_full`; mistakes in this program raise other
exceptions. Every wait has a limit.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from stores.sql.engine.address import sqlite_file
from stores.sql.engine.timeouts import TIMEOUTS, Timeouts

T = TypeVar("T")


class Database(Protocol):
    """Runs the stores' work."""

    dialect: str

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do the work in one transaction, which is rolled back if the work raises."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do work that changes nothing. Each statement sees whatever is committed when it begins."""

    async def scan(self, work: Callable[[Connection], T], seconds: float | None = None, *, spent: float = 0) -> T:
        """Like `read`, for work that takes the longer the more an owner has stored.

        On SQLite scans have connections of their own, so that what others read never waits for them. `spent` is the
        time that earlier parts of this one had: those that had least come first. Raises `CutShort` if the work is not
        done in `seconds`, with the wait for its turn. Without them, the limits of all other work apply.
        """

    async def close(self) -> None:
        """Close every connection."""


@asynccontextmanager
async def open_database(url: str, *, timeouts: Timeouts = TIMEOUTS, connections: int = 5) -> AsyncIterator[Database]:
    """The database at this URL, with at most `connections` connections, and on SQLite some more for scans; closed on
    leaving.

    An SQLite file is created or migrated if necessary. Raises `SchemaError` if the database cannot be used as it is.
    """
    from stores.sql.engine.schema import prepare

    await asyncio.to_thread(prepare, url)
    database = await asyncio.to_thread(_connect, url, timeouts, connections)
    try:
        yield database
    finally:
        await database.close()


def _connect(url: str, timeouts: Timeouts, connections: int) -> Database:
    file = sqlite_file(url)
    if file is None:
        from stores.sql.engine.postgres import PostgresDatabase

        return PostgresDatabase(url, timeouts, connections)
    from stores.sql.engine.sqlite import SqliteDatabase

    return SqliteDatabase(file, timeouts, connections)
