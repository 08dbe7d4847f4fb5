"""SQLite: one thread that writes, so that the writers of this process queue without polling the file; others read, and
others again scan.

Uses the write-ahead log: readers never wait, and see what is committed. Another process may write too; this one waits
for it at most `turn` seconds.
"""

import asyncio
import math
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, create_engine, event

from stores.sql.engine.failures import translated
from stores.sql.engine.sqlite_scan import Scan
from stores.sql.engine.timeouts import Timeouts
from stores.sql.engine.turns import Turns

T = TypeVar("T")

_CHECKPOINT_AFTER = 128
"""Transactions between checkpoints. We run them in a reader's thread; SQLite would run them in the writer's."""
_SCANNERS = max(1, min(2, (os.cpu_count() or 1) - 1))
"""Scans that take turns. One processor is left to the event loop."""
_WHOLE = 2
"""Scans that are done in one go, and would keep those waiting."""
_LOOK_AFTER = 20_000
"""Instructions of SQLite's virtual machine between two checks of the clock: about a millisecond."""


class SqliteDatabase:
    """A file that `stores.sql.engine.schema` has created."""

    dialect = "sqlite"

    def __init__(self, file: Path, timeouts: Timeouts, connections: int) -> None:
        self._timeouts = timeouts
        self._engine = create_engine(
            URL.create("sqlite", database=str(file)),
            isolation_level="AUTOCOMMIT",  # we begin transactions ourselves, with BEGIN IMMEDIATE
            skip_autocommit_rollback=True,
            pool_size=connections + _SCANNERS + _WHOLE,
            max_overflow=0,
            hide_parameters=True,
        )
        event.listen(self._engine, "connect", self._prepare)
        self._written = 0
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer")
        self._readers = ThreadPoolExecutor(max(connections - 1, 1), thread_name_prefix="sqlite-reader")
        self._turns = Turns(_SCANNERS)
        self._whole = ThreadPoolExecutor(_WHOLE, thread_name_prefix="sqlite-whole")
        self._scanners = ThreadPoolExecutor(_SCANNERS, thread_name_prefix="sqlite-scanner")

    def _prepare(self, connection: sqlite3.Connection, record: Any) -> None:
        deadline = record.info["deadline"] = [math.inf]
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={int(self._timeouts.turn * 1000)}",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "wal_autocheckpoint=10000",  # pages, in case the checkpoints below do not keep up
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        connection.set_progress_handler(lambda: time.monotonic() > deadline[0], _LOOK_AFTER)

    async def write(self, work: Callable[[Connection], T]) -> T:
        result = await self._run(self._writer, work, transaction)
        self._written += 1
        if self._written % _CHECKPOINT_AFTER == 0:
            self._readers.submit(self._connected, _checkpoint, _look)
        return result

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self._run(self._readers, work, _look)

    async def scan(self, work: Callable[[Connection], T], seconds: float | None = None, *, spent: float = 0) -> T:
        if seconds is None:
            return await self._run(self._whole, work, _look)
        until = time.monotonic() + seconds
        with translated():
            async with self._turns.turn(spent, seconds):
                return await Scan(work, until).result(self._scanners, self._connected)

    async def _run(self, threads: ThreadPoolExecutor, work: Callable[[Connection], T], do: "_Way[T]") -> T:
        """Runs the work in one of the threads, unless it gets no turn in time or its task is cancelled before that."""
        turn = time.monotonic() + self._timeouts.turn

        def run() -> T:
            if time.monotonic() > turn:
                raise TimeoutError
            return self._connected(work, do)

        with translated():
            async with asyncio.timeout(2 * self._timeouts.turn + self._timeouts.work):
                return await asyncio.wrap_future(threads.submit(run))

    def _connected(self, work: Callable[[Connection], T], do: "_Way[T]") -> T:
        with self._engine.connect() as connection:
            connection.info["deadline"][0] = time.monotonic() + self._timeouts.turn + self._timeouts.work
            return do(connection, work)

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.shutdown(cancel_futures=True)
        for threads in (self._readers, self._scanners, self._whole):
            threads.shutdown(cancel_futures=True)
        self._engine.dispose()


_Way = Callable[[Connection, Callable[[Connection], T]], T]


def _checkpoint(connection: Connection) -> None:
    connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")


def _look(connection: Connection, work: Callable[[Connection], T]) -> T:
    return work(connection)


def transaction(connection: Connection, work: Callable[[Connection], T]) -> T:
    """Do the work in a transaction that may write from its first statement on."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        if connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
            connection.exec_driver_sql("ROLLBACK")  # some failures have already rolled back
        raise
    return result
