"""Answers that are marked as running although nobody gives them any more: their process died before it could say so.

Where streams live in one process's memory, nothing runs yet when that process starts: whatever is marked so then is
interrupted. Where processes share a log, another one may be giving the answer: it is interrupted once its stream is
gone from the log, and its producer has not been heard of for a while. And where the database was away for too long
when an answer ended, that end is stored when it is back, for as long as the log still has it.
"""

import asyncio
from time import time

import structlog

from domain.errors import StreamForgeError
from services.storage import Storage
from services.streams.supervisor import Keeper, Supervisor
from stores.streams.base import StreamLog

log = structlog.get_logger("sessions")

_EVERY = 10.0
_SILENT_FOR = 60.0  # seconds; several times as long as a lease


class Recovery:
    """Looks for such answers; and, for others who look, says that answers are given here."""

    def __init__(
        self,
        storage: Storage,
        streams: StreamLog,
        supervisor: Supervisor,
        keeper: Keeper,
        *,
        every: float = _EVERY,
        silent_for: float = _SILENT_FOR,
    ) -> None:
        self._storage = storage
        self._log = streams
        self._supervisor = supervisor
        self._keeper = keeper
        self._every = every
        self._silent_for = silent_for

    async def at_start(self) -> None:
        """Interrupt what a process before this one has left behind, where that was the only one."""
        stores = await self._storage.open()
        while cut_off := await stores.messages.running(time()):
            for left in cut_off:
                await stores.messages.interrupt_stream(left.stream_id, time())
                log.warning("an answer was cut off when the server stopped", session_id=left.session_id)

    async def run(self) -> None:
        """Look for ever. A look that fails is logged, and the next one comes."""
        while True:
            await asyncio.sleep(self._every)
            try:
                if self._storage.opened:
                    await self._look()
            except StreamForgeError as error:  # the database or the log is away
                log.warning("cut off answers could not be looked for", code=error.code)
            except Exception as error:
                log.error("cut off answers could not be looked for", exc_info=error)

    async def _look(self) -> None:
        stores = await self._storage.open()
        given = self._supervisor.message_ids()
        if given:  # others may not see, or at any moment no longer see, that these streams run
            await stores.messages.alive(given, time())
        for left in await stores.messages.running(time() - self._silent_for):
            if self._supervisor.produces(left.stream_id):
                continue
            tail = await self._log.find(left.stream_id)
            if tail is None:
                await stores.messages.interrupt_stream(left.stream_id, time())
                log.warning("an answer was cut off with its process", session_id=left.session_id)
            elif tail.ended and tail.outcome is not None:
                await self._keeper.save(tail, tail.outcome, None, None)
                log.warning("the end of an answer was stored late", session_id=left.session_id)
