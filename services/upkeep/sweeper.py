"""One task for all slow clocks. It counts ticks, because a timer for every stream would cost more than the words."""

import asyncio

import structlog

from services.streams.clocks import Clocks
from services.streams.readers import Readers
from services.streams.supervisor import Supervisor
from stores.streams.base import StreamLog

log = structlog.get_logger("sweeper")

_LOST_SECONDS = 2.0


class Sweeper:
    """Ticks readers and streams, ends the streams of dead processes, and expires logs."""

    def __init__(self, clocks: Clocks, supervisor: Supervisor, readers: Readers, streams: StreamLog) -> None:
        self._clocks = clocks
        self._supervisor = supervisor
        self._readers = readers
        self._log = streams
        self._until_lost = 0

    async def run(self) -> None:
        """Sweep for ever. A failure is logged, and the next sweep comes all the same."""
        while True:
            await asyncio.sleep(self._clocks.tick)
            for part in (self._tick_readers, self._tick_streams, self._bury_lost, self._log.expire):
                try:
                    await part()
                except Exception as error:
                    log.error("a sweep failed", exc_info=error)

    async def _tick_readers(self) -> None:
        await self._readers.sweep(self._clocks)

    async def _tick_streams(self) -> None:
        await self._supervisor.sweep(self._clocks)

    async def _bury_lost(self) -> None:
        """End the streams that other processes left behind; every two seconds."""
        if (peers := self._log.peers) is None:
            return
        self._until_lost -= 1
        if self._until_lost <= 0:
            self._until_lost = max(1, round(_LOST_SECONDS / self._clocks.tick))
            for tail in await peers.lost():
                self._supervisor.bury(tail)
