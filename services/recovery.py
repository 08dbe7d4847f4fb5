"""Answers that are marked as running although nobody gives them any more: their process died before it could say so.

Where streams live in one process's memory, nothing runs yet when that process starts: whatever is marked so then is
interrupted. Where processes share a log, another one may be giving the answer: it is interrupted once its stream is
gone from the log, and its producer has not been heard of for a while.
"""

import asyncio
from time import time

import structlog

from domain.errors import StreamForgeError
from services.storage import Storage
from services.supervisor import Supervisor
from stores.streams.base import StreamLog

log = structlog.get_logger("sessions")

_EVERY = 10.0
_SILENT_FOR = 60.0  # seconds; several times as long as a lease


class Recovery:
    """Looks for such answers; and, for others who look, says that answers are given here."""

    def __init__(self, storage: Storage, streams: StreamLog, supervisor: Supervisor) -> None:
        self._storage = storage
        self._log = streams
        self._supervisor = supervisor

    async def at_start(self) -> None:
        """Interrupt what a process before this one has left behind, where that was the only one."""
        stores = await self._storage.open()
        while cut_off := await stores.messages.running(time()):
            for left in cut_off:
                await stores.messages.interrupt_stream(left.stream_id, time())
                log.warning("an answer was cut off when the server stopped", session_id=left.session_id)

    async def run(self) -> None:
        """Look for ever, where processes share a log. A look that fails is logged, and the next one comes."""
        while True:
            await asyncio.sleep(_EVERY)
            try:
                if self._storage.opened:
                    await self._look()
            except StreamForgeError as error:  # the database or the log is away
                log.warning("cut off answers could not be looked for", code=error.code)
            except Exception as error:
                log.error("cut off answers could not be looked for", exc_info=error)

    async def _look(self) -> None:
        stores = await self._storage.open()
        local = [
            production.tail.info.message_id
            for production in self._supervisor.live.values()
            if production.tail.info.message_id is not None and not production.tail.shared
        ]
        if local:  # others cannot see that these streams run
            await stores.messages.alive(local, time())
        for left in await stores.messages.running(time() - _SILENT_FOR):
            if left.stream_id not in self._supervisor.live and await self._log.find(left.stream_id) is None:
                await stores.messages.interrupt_stream(left.stream_id, time())
                log.warning("an answer was cut off with its process", session_id=left.session_id)
