"""One task for all slow clocks: it counts ticks where a timer for each stream would cost more than the words."""

import asyncio

import structlog

from services.streams.clocks import Clocks
from services.streams.production import Production
from services.streams.readers import SWEPT_AT_ONCE, Readers
from services.streams.supervisor import Supervisor
from stores.streams.base import StreamLog

log = structlog.get_logger("sweeper")

_LOST_SECONDS = 2.0


class Sweeper:
    """Ends streams that run too long or that nobody reads, ticks readers, and expires logs."""

    def __init__(self, clocks: Clocks, supervisor: Supervisor, readers: Readers, streams: StreamLog) -> None:
        self._clocks = clocks
        self._supervisor = supervisor
        self._readers = readers
        self._log = streams
        self._until_lost = 0

    async def run(self) -> None:
        """Sweep for ever. A failed sweep is logged, and the next one comes all the same."""
        while True:
            await asyncio.sleep(self._clocks.tick)
            for part in (self._sweep_readers, self._sweep_streams, self._bury_lost, self._log.expire):
                try:
                    await part()
                except Exception as error:
                    log.error("a sweep failed", exc_info=error)

    async def _sweep_readers(self) -> None:
        await self._readers.sweep(self._clocks)

    async def _sweep_streams(self) -> None:
        clocks = self._clocks
        for number, production in enumerate(list(self._supervisor.live.values()), 1):
            if number % SWEPT_AT_ONCE == 0:
                await asyncio.sleep(0)
            tail = production.tail
            production.age += 1
            # An answer in a session is kept, and so worth having unread; unless its reader wanted to take it along.
            kept = tail.info.session_id is not None and tail.info.on_disconnect == "detach"
            production.orphan = 0 if tail.followers or kept else production.orphan + 1
            if production.abandoned:
                await self._supervisor.end(production, production.failed("internal_error"))
            elif production.age * clocks.tick >= production.seconds:
                await self._supervisor.end(production, production.failed("stream_timeout"))
            elif production.orphan >= clocks.orphan:
                await self._end_orphan(production)

    async def _end_orphan(self, production: Production) -> None:
        if await self._log.read_elsewhere(production.tail.info.id):
            production.orphan = 0
        else:
            await self._supervisor.end(production, production.cancelled("orphaned"))

    async def _bury_lost(self) -> None:
        """End what other processes have left behind; once in two seconds."""
        self._until_lost -= 1
        if self._until_lost <= 0:
            self._until_lost = max(1, round(_LOST_SECONDS / self._clocks.tick))
            for tail in await self._log.lost():
                self._supervisor.adopt(tail)
