"""Repairs answers that are stored as running although their producer is gone.

With the log in memory nothing runs when the process starts: every answer that is stored as running then is marked as
interrupted. With a shared log another process may produce the answer: it is marked once its stream is gone from the
log and its producer has given no sign of life for a while. If the database was away when an answer ended, its end is
stored later, for as long as the log has it.
"""

import asyncio
from time import time

import structlog

from domain.errors import StreamForgeError
from domain.messages import Running
from services.storage import Storage
from services.streams.elsewhere import Keeper
from services.streams.supervisor import Supervisor
from stores.streams.base import StreamLog

log = structlog.get_logger("sessions")

_EVERY = 10.0
_SILENT_FOR = 60.0  # seconds; several times a lease


class Recovery:
    """Looks for such answers, and tells the other processes which answers this one produces."""

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
        self._messages = storage.messages
        self._log = streams
        self._supervisor = supervisor
        self._keeper = keeper
        self._every = every
        self._silent_for = silent_for

    async def at_start(self) -> None:
        """Mark what an earlier process left running as interrupted. Only for a log that no other process shares."""
        while cut_off := await self._messages.running(time()):
            for left in cut_off:
                await self._messages.interrupt_stream(left.stream_id, time())
                log.warning("an answer was interrupted when the server stopped", session_id=left.session_id)

    async def run(self) -> None:
        """Look every few seconds, for ever. A failure is logged, and the next look comes all the same."""
        while True:
            await asyncio.sleep(self._every)
            try:
                if self._storage.opened:
                    await self._look()
            except StreamForgeError as error:  # the database or the log is away
                log.warning("the search for interrupted answers failed", code=error.code)
            except Exception as error:
                log.error("the search for interrupted answers failed", exc_info=error)

    async def _look(self) -> None:
        given = self._supervisor.message_ids()
        if given:  # others may not see, or at any moment no longer see, that these streams run
            await self._messages.alive(given, time())
        for left in await self._messages.running(time() - self._silent_for):
            if self._supervisor.produces(left.stream_id):
                continue
            try:
                await self._repair(left)
            except StreamForgeError as error:  # this one cannot be looked up or stored now; the others may be
                log.warning("an interrupted answer could not be repaired", stream_id=left.stream_id, code=error.code)

    async def _repair(self, left: Running) -> None:
        tail = await self._log.find(left.stream_id)
        if tail is None:
            await self._messages.interrupt_stream(left.stream_id, time())
            log.warning("an answer was interrupted because its process is gone", session_id=left.session_id)
        elif tail.ended and tail.outcome is not None and tail.understood:
            await self._keeper.save(tail, tail.outcome, None, None)
            log.warning("the end of an answer was stored late", session_id=left.session_id)
