"""A clean shutdown, from the signal to the last byte.

The server's own signal handler closes the listening socket at once: load balancers would never see a red readiness,
and every client would be refused. This handler takes its place, and calls it when the streams have ended.
"""

import asyncio
import signal
import threading
from contextvars import Context
from types import FrameType
from typing import Any

import structlog

from services.streams.readers import Readers
from services.streams.supervisor import Supervisor

log = structlog.get_logger("drain")

SIGNALS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGBREAK] if hasattr(signal, "SIGBREAK") else [])]
_FLUSH_SECONDS = 1.0


class Drain:
    """Refuses new streams, gives running ones `seconds` to finish, ends the rest, then lets the server go."""

    def __init__(self, supervisor: Supervisor, readers: Readers, *, seconds: float) -> None:
        self._supervisor = supervisor
        self._readers = readers
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._saved: dict[int, Any] = {}
        self._first: int | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def draining(self) -> bool:
        """Whether a signal has arrived."""
        return self._first is not None

    def install(self) -> None:
        """Replace the server's signal handlers. Does nothing outside the main thread, which alone may do so."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._saved[number] = signal.getsignal(number)
                signal.signal(number, self._on_signal)

    def uninstall(self) -> None:
        """Restore the server's signal handlers."""
        for number, handler in self._saved.items():
            signal.signal(number, handler)
        self._saved.clear()

    def begin(self, number: int) -> None:
        """React to a signal: the first one starts the drain, a second interrupt ends it at once.

        After the drain, signals go to the server's own handlers again.
        """
        if self._first is None or self._task is None:
            self._first = number
            log.info("draining", streams=self._supervisor.count, seconds=self._seconds)
            self._task = self._loop.create_task(self._run(number), name="drain")
        elif self._task.done():
            self._hand_back(number)
        elif self._first == number == signal.SIGINT:
            self._task.cancel()
            self._task = self._loop.create_task(self._force(number), name="drain")

    async def _run(self, number: int) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._supervisor.quiet()
        except TimeoutError:
            await self._supervisor.end_all("server_draining")
        await self._readers.flush(_FLUSH_SECONDS)
        self._hand_back(number)

    async def _force(self, number: int) -> None:
        await self._supervisor.end_all("server_draining")
        await self._readers.flush(0)
        self._hand_back(number)
        self._hand_back(number)  # the second one makes the server hurry too

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        # No more than this: the handler may run between any two instructions of the loop's own code.
        # An empty context: the interrupted one may be a request's, whose id does not belong in these log lines.
        self._loop.call_soon_threadsafe(self.begin, number, context=Context())

    def _hand_back(self, number: int) -> None:
        handler = self._saved.get(number)
        if callable(handler):
            handler(number, None)
