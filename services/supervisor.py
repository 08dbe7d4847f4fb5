"""Who owns the producers: every running stream has one task here, and exactly one end.

A stream is ended by whoever seals its log first: its producer (done, or failed), a cancel, a clock or the
drain. Sealing, and then announcing what was sealed, is `Supervisor.end`; nothing else ends a stream.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog
from structlog.contextvars import get_contextvars

from domain.errors import StreamForgeError
from domain.events import TERMINAL, Delta, Done, Failed, Terminal
from domain.streams import state_of, text_size
from domain.usage import Usage
from stores.streams.base import Appended, StreamLog, Tail

log = structlog.get_logger("streams")

Source = AsyncGenerator[Delta | Done, None]

# A source that never waits must not keep the loop for itself.
_YIELD_EVERY = 16


class Production:
    """A running stream: its log, the task that writes it, and its clocks in ticks."""

    __slots__ = ("age", "orphan", "request_id", "tail", "task")

    def __init__(self, tail: Tail, task: asyncio.Task[None]) -> None:
        self.tail = tail
        self.task = task
        self.request_id = get_contextvars().get("request_id")  # of the request that started it, whoever ends it
        self.age = 0
        self.orphan = 0

    @property
    def abandoned(self) -> bool:
        """Whether the producer is gone, and could not end its stream."""
        return self.task.done()


class Supervisor:
    """Runs producers, holds them to the limits of size, and ends them."""

    def __init__(self, streams: StreamLog, *, max_events: int, max_bytes: int) -> None:
        self._log = streams
        self._max_deltas = max_events - 2  # the start and the terminal event are events too
        self._max_bytes = max_bytes
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing: set[asyncio.Task[None]] = set()
        self.live: dict[str, Production] = {}

    def run(self, tail: Tail, source: Source) -> None:
        """Start writing `source` into the log behind `tail`."""
        task = asyncio.create_task(self._produce(tail, source), name="producer")
        self.live[tail.info.id] = Production(tail, task)
        self._idle.clear()

    async def end(self, tail: Tail, outcome: Terminal) -> Terminal:
        """Seal and announce, and abort the producer; answers the outcome that stands."""
        sealed = await self._log.seal(tail, outcome)
        await self._log.announce(tail)
        production = self.live.pop(tail.info.id, None)
        if production is not None:
            self._tell(production, sealed)
            task = production.task
            if task is not asyncio.current_task():
                self._closing.add(task)  # until it has closed its connection to the model
                task.add_done_callback(self._closing.discard)
                task.cancel()
            if not self.live:
                self._idle.set()
        return sealed

    async def quiet(self) -> None:
        """Returns once no stream runs."""
        await self._idle.wait()

    async def end_all(self, code: str) -> None:
        """End every running stream with an error, and wait until the producers have let go."""
        for production in list(self.live.values()):
            await self.end(production.tail, Failed(code, spent(production.tail)))
        if self._closing:
            await asyncio.wait(self._closing, timeout=1)

    async def _produce(self, tail: Tail, source: Source) -> None:
        try:
            outcome: Terminal = await self._copy(tail, source)
        except StreamForgeError as error:
            outcome = Failed(error.code, spent(tail))
        except Exception as error:
            log.error("a producer failed unforeseen", stream_id=tail.info.id, exc_info=error)
            outcome = Failed("internal_error", spent(tail))
        try:
            await self.end(tail, outcome)
        except Exception as error:  # the log itself fails: the sweeper will see the dead task, and try again
            log.error("a stream could not be ended", stream_id=tail.info.id, exc_info=error)

    async def _copy(self, tail: Tail, source: Source) -> Terminal:
        """Write the source's events until it ends, or a limit does; answers the outcome."""
        append = self._log.append
        seq = len(tail.events)
        async with aclosing(source):
            async for event in source:
                if isinstance(event, Done):
                    return event
                if seq > self._max_deltas or tail.size + text_size(event.text) > self._max_bytes:
                    return Failed("log_limit", spent(tail))
                seq += 1
                appended = await append(tail, seq, event)
                if appended is not Appended.OK:
                    break
                if seq % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)
        return tail.outcome or Failed("provider_incomplete", spent(tail))

    def _tell(self, production: Production, outcome: Terminal) -> None:
        tail = production.tail
        reason = getattr(outcome, "code", None) or getattr(outcome, "reason", None)
        log.info(
            "stream ended",
            stream_id=tail.info.id,
            model=tail.info.model,
            state=state_of(outcome),
            **{name: value for name, value in (("reason", reason), ("request_id", production.request_id)) if value},
            deltas=deltas(tail),
        )


def deltas(tail: Tail) -> int:
    """How many deltas the log holds: everything but the start and the end."""
    return len(tail.events) - 1 - isinstance(tail.events[-1], TERMINAL)


def spent(tail: Tail) -> Usage:
    """An estimate of what a stream has used so far: what its message weighs, and one token a delta."""
    return Usage(tail.info.estimated_input, deltas(tail), exact=False)
