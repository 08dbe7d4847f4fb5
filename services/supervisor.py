"""Who owns the producers: every running stream has one task here, and exactly one end.

A stream is ended by whoever seals its log first: its producer (done, or failed), a cancel, a clock or the
drain. Sealing, and then announcing what was sealed, is `Supervisor.end`; nothing else ends a stream.
"""

import asyncio
from contextlib import aclosing

import structlog
from structlog.contextvars import get_contextvars

from domain.errors import StreamForgeError
from domain.events import Cancelled, CancelReason, Delta, Done, Failed, Reasoning, Status, Terminal
from domain.models import Finished
from domain.streams import text_size
from domain.usage import Usage
from services.failover import Source
from services.metering import Meter
from services.usage_service import UsageService
from stores.streams.base import Appended, StreamLog, Tail

log = structlog.get_logger("streams")

# A source that never waits must not keep the loop for itself.
_YIELD_EVERY = 16


class Production:
    """A running stream: its log, the task that writes it, its account, and its clocks in ticks.

    `seconds` is how long it may take in all; `seq` the number of the last event that was sent to the log.
    """

    __slots__ = ("age", "meter", "orphan", "request_id", "seconds", "seq", "tail", "task")

    def __init__(self, tail: Tail, meter: Meter, seconds: float) -> None:
        self.tail = tail
        self.meter = meter
        self.seconds = seconds
        self.seq = len(tail.events)
        self.task: asyncio.Task[None] | None = None
        self.request_id = get_contextvars().get("request_id")  # of the request that started it, whoever ends it
        self.age = 0
        self.orphan = 0

    @property
    def abandoned(self) -> bool:
        """Whether the producer is gone, and could not end its stream."""
        return self.task is not None and self.task.done()

    def done(self, finished: Finished) -> Done:
        """The outcome, when the model says that it has finished."""
        return Done(finished.reason, self.meter.model, self.meter.spent(self.tail.events, whole=True))

    def failed(self, code: str, retry_after: int | None = None) -> Failed:
        """The outcome, when something goes wrong now."""
        return Failed(code, self.meter.spent(self.tail.events, code), retry_after)

    def cancelled(self, reason: CancelReason) -> Cancelled:
        """The outcome, when somebody stops it now."""
        return Cancelled(reason, self.meter.spent(self.tail.events))


class Supervisor:
    """Runs producers, holds them to the limits of size, and ends them."""

    def __init__(self, streams: StreamLog, usage: UsageService, *, max_events: int, max_bytes: int) -> None:
        self._log = streams
        self._usage = usage
        self._max_seq = max_events - 1  # the terminal event is one too
        self._max_bytes = max_bytes
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing: set[asyncio.Task[None]] = set()
        self.live: dict[str, Production] = {}

    def run(self, tail: Tail, source: Source, meter: Meter, seconds: float) -> None:
        """Start writing `source` into the log behind `tail`, for at most so many seconds."""
        production = Production(tail, meter, seconds)
        production.task = asyncio.create_task(self._produce(production, source), name="producer")
        self.live[tail.info.id] = production
        self._idle.clear()

    async def tell(self, tail: Tail, event: Status) -> None:
        """Write what the producer, which waits for its model, cannot."""
        production = self.live.get(tail.info.id)
        if production is not None and production.seq < self._max_seq:
            await self._append(production, event)

    async def cancel(self, tail: Tail, reason: CancelReason) -> None:
        """Stop a stream; one that has ended keeps its outcome."""
        if production := self.live.get(tail.info.id):
            await self.end(production, production.cancelled(reason))

    async def end(self, production: Production, outcome: Terminal) -> Terminal:
        """Seal and announce, and abort the producer; answers the outcome that stands."""
        tail = production.tail
        sealed = await self._log.seal(tail, outcome)
        await self._log.announce(tail, sealed)
        if self.live.pop(tail.info.id, None) is not None:
            self._usage.record(tail.info, sealed, deltas=deltas(tail), request_id=production.request_id)
            task = production.task
            if task is not None and task is not asyncio.current_task():
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
            await self.end(production, production.failed(code))
        if self._closing:
            await asyncio.wait(self._closing, timeout=1)

    async def _produce(self, production: Production, source: Source) -> None:
        stream_id = production.tail.info.id
        try:
            outcome = await self._copy(production, source)
        except StreamForgeError as error:
            outcome = production.failed(error.code, error.retry_after)
        except Exception as error:
            log.error("a producer failed unforeseen", stream_id=stream_id, exc_info=error)
            outcome = production.failed("internal_error")
        try:
            await self.end(production, outcome)
        except Exception as error:  # the log itself fails: the sweeper will see the dead task, and try again
            log.error("a stream could not be ended", stream_id=stream_id, exc_info=error)

    async def _copy(self, production: Production, source: Source) -> Terminal:
        """Write the source's events until it ends, or a limit does; answers the outcome."""
        tail = production.tail
        async with aclosing(source):
            async for event in source:
                if isinstance(event, Delta | Reasoning):
                    if tail.size + text_size(event.text) > self._max_bytes:
                        return production.failed("log_limit")
                elif isinstance(event, Finished):
                    return production.done(event)
                elif isinstance(event, Usage):
                    production.meter.report(event)
                    continue
                if production.seq >= self._max_seq:
                    return production.failed("log_limit")
                if await self._append(production, event) is not Appended.OK:
                    break
                if production.seq % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)
        return tail.outcome or production.failed("provider_incomplete")

    async def _append(self, production: Production, event: Delta | Reasoning | Status) -> Appended:
        production.seq += 1
        return await self._log.append(production.tail, production.seq, event)


def deltas(tail: Tail) -> int:
    """How many deltas the log holds: everything but the start, the end, and what is told on the way."""
    return sum(type(event) is Delta for event in tail.events)
