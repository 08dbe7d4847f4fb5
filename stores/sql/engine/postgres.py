"""PostgreSQL: a bounded pool of asyncpg connections.

If the connection is lost before the commit is sent, the work is done once more on a new connection, so a short restart
of the database server goes unnoticed. The database server enforces the time-outs; our own, a little longer, is for a
server that is silent.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from stores.sql.engine.failures import reason_of, translated
from stores.sql.engine.timeouts import TIMEOUTS, CutShort, Timeouts
from stores.sql.engine.turns import Turns

T = TypeVar("T")

_GRACE = 1.0
"""Extra seconds for the server's own time-out to arrive."""
_SCANNERS = 2
_CANCELLED = "57014"


def postgres_engine(url: str, timeouts: Timeouts = TIMEOUTS, connections: int = 1) -> AsyncEngine:
    """An engine that reads the URL as libpq does. The server ends statements that run too long."""
    limit = str(int(timeouts.work * 1000))
    return create_async_engine(
        "postgresql+asyncpg://",
        connect_args={
            "dsn": url,
            "timeout": timeouts.turn,
            "server_settings": {
                "application_name": "streamforge",
                "statement_timeout": limit,
                "idle_in_transaction_session_timeout": limit,
                "jit": "off",  # compiling takes longer than any of our statements
                # A cached plan was made when the tables were small, and would scan all of them.
                "plan_cache_mode": "force_custom_plan",
            },
        },
        pool_size=connections,
        max_overflow=0,
        pool_timeout=timeouts.turn,
        hide_parameters=True,
    )


class PostgresDatabase:
    """A PostgreSQL server. It connects on first use."""

    dialect = "postgresql"

    def __init__(self, url: str, timeouts: Timeouts, connections: int) -> None:
        self._engine = postgres_engine(url, timeouts, connections)
        self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._at_most = timeouts.turn + timeouts.work + _GRACE
        self._turns = Turns(max(1, min(_SCANNERS, connections - 1)))

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await self._within_time(self._engine, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._within_time(self._reading, work)

    async def scan(self, work: Callable[[Connection], T], seconds: float | None = None, *, spent: float = 0) -> T:
        if seconds is None:
            return await self.read(work)
        until = time.monotonic() + seconds
        async with self._turns.turn(spent, seconds):
            left = max(until - time.monotonic(), 0.001)
            return await self.write(partial(_limited, work, left))  # in a transaction, to which the limit applies

    async def _within_time(self, engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
        with translated():
            async with asyncio.timeout(self._at_most):
                return await _run(engine, work)

    async def close(self) -> None:
        await self._engine.dispose()


def _limited(work: Callable[[Connection], T], seconds: float, connection: Connection) -> T:
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {max(1, round(seconds * 1000))}")
    try:
        return work(connection)
    except DBAPIError as error:
        if reason_of(error) != _CANCELLED:
            raise
        raise CutShort from error


async def _run(engine: AsyncEngine, work: Callable[[Connection], T], *, again: bool = True) -> T:
    committing = False
    try:
        async with engine.connect() as connection:
            result = await connection.run_sync(work)
            committing = True
            await connection.commit()
            return result
    except DBAPIError as error:
        if committing or not again or not error.connection_invalidated:
            raise
    return await _run(engine, work, again=False)
