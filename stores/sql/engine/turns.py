"""Turns for scans, of which only a few run at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from heapq import heapify, heappop, heappush
from itertools import count

from stores.sql.engine.timeouts import CutShort


class Turns:
    """Lets `at_once` run. Of those that wait, the one that has had least time so far is next.

    So a short scan does not wait for long ones, however many there are, and long ones share the time.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._numbers = count()
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def turn(self, spent: float, seconds: float) -> AsyncIterator[None]:
        """Wait for a turn, and have it inside; raises `CutShort` after so many seconds.

        `spent` is how many this scan has had.
        """
        if self._free:
            self._free -= 1
        else:
            try:
                async with asyncio.timeout(seconds):
                    await self._wait(spent)
            except TimeoutError as error:
                raise CutShort from error
        try:
            yield
        finally:
            self._give()

    async def _wait(self, spent: float) -> None:
        given = asyncio.get_running_loop().create_future()
        entry = (spent, next(self._numbers), given)
        heappush(self._waiting, entry)
        try:
            await given
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
                heapify(self._waiting)
            elif not given.cancelled():  # the turn was given in this very moment
                self._give()
            raise

    def _give(self) -> None:
        while self._waiting:
            given = heappop(self._waiting)[2]
            if not given.done():
                given.set_result(None)
                return
        self._free += 1
