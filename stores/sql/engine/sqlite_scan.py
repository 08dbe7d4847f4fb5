"""Work in one of SQLite's threads that ends when its time is over."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from stores.sql.engine.timeouts import CutShort

T = TypeVar("T")


class Scan(Generic[T]):
    """Runs once, `until` then on the monotonic clock.

    The event loop's clock ends it, not a count of SQLite's instructions: a single one may read megabytes.
    """

    def __init__(self, work: Callable[[Connection], T], until: float) -> None:
        self._work = work
        self._until = until
        self._running: Any = None  # the driver's connection
        self._changing = Lock()  # what the connection does after this must not be interrupted
        self._cut = False

    async def result(self, threads: ThreadPoolExecutor, connected: Callable[..., T]) -> T:
        """What the work returns; raises `CutShort`. If the task is cancelled, the work ends as well."""
        future = threads.submit(connected, self._work, self._do)
        clock = asyncio.get_running_loop().call_later(self._until - time.monotonic(), self._end, future)
        try:
            return await asyncio.wrap_future(future)
        except (OperationalError, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            if not self._cut and time.monotonic() < self._until:
                raise
            raise CutShort from error
        finally:
            clock.cancel()
            self._end(future)

    def _do(self, connection: Connection, work: Callable[[Connection], T]) -> T:
        connection.info["deadline"][0] = self._until  # in case the clock finds it between two statements
        with self._changing:
            if self._cut:
                raise CutShort
            self._running = connection.connection.driver_connection
        try:
            return work(connection)
        finally:
            with self._changing:
                self._running = None

    def _end(self, future: Future[T]) -> None:
        if future.done() or future.cancel():
            self._cut = self._cut or future.cancelled()
            return
        with self._changing:
            self._cut = True
            if self._running is not None:
                self._running.interrupt()
