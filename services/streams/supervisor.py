"""Every running stream has one task here, and exactly one end.

The first to seal its log ends a stream: its producer (done, or failed), a cancel, a clock, the drain, or another
process. Then the answer is saved, if it belongs to a session, and the outcome announced. Seal, save, announce: each
may be repeated, and only the first one counts.
"""

import asyncio
from collections.abc import Collection
from dataclasses import replace

import structlog

from domain.errors import StreamForgeError
from domain.events import CancelReason, Failed, Status, Terminal
from services.accounts.metering import Meter
from services.answering.answerer import Source
from services.background import Tasks
from services.observing.observer import Ended, Observer
from services.streams.clocks import SWEPT_AT_ONCE, Clocks
from services.streams.elsewhere import Elsewhere, Estimate, Keeper
from services.streams.producing import Producer
from services.streams.production import Held, Production
from stores.streams.base import Fenced, StreamLog
from stores.streams.tail import Tail

log = structlog.get_logger("streams")

_CLOSE_SECONDS = 12.0  # that the last answers have to be saved at shutdown


class Supervisor:
    """Runs producers, holds them to their clocks, and ends them."""

    def __init__(
        self,
        streams: StreamLog,
        observer: Observer,
        keeper: Keeper,
        estimate: Estimate,
        *,
        max_events: int,
        max_bytes: int,
    ) -> None:
        self._log = streams
        self._observer = observer
        self._keeper = keeper
        self._producer = Producer(streams, observer, max_events=max_events, max_bytes=max_bytes)
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks = Tasks(_not_ended)
        self._peers = streams.peers
        self._elsewhere: Elsewhere | None = None
        if streams.peers is not None:
            self._elsewhere = Elsewhere(streams, streams.peers, keeper, estimate, self._settle, self._tasks)
        self._live: dict[str, Production] = {}

    def run(self, tail: Tail, source: Source, meter: Meter, seconds: float, held: Held | None = None) -> None:
        """Start writing `source` into the log behind `tail`, for at most so many seconds; `held` is released then."""
        production = Production(tail, meter, seconds, held)
        production.task = asyncio.create_task(self._produce(production, source), name="producer")
        self._live[tail.info.id] = production
        self._idle.clear()
        self._observer.started(tail.info)

    async def tell(self, tail: Tail, event: Status) -> None:
        """Write what the source, which waits for its model, cannot yield."""
        if production := self._live.get(tail.info.id):
            await self._producer.tell(production, event)

    @property
    def count(self) -> int:
        """How many streams this process produces."""
        return len(self._live)

    def produces(self, stream_id: str) -> bool:
        """Whether this process produces the stream."""
        return stream_id in self._live

    def message_ids(self) -> list[str]:
        """The messages that streams of this process are becoming."""
        return [each.tail.info.message_id for each in self._live.values() if each.tail.info.message_id is not None]

    def key_ids(self) -> set[str]:
        """The credentials that started streams of this process."""
        return {each.tail.info.key_id for each in self._live.values() if each.tail.info.key_id is not None}

    def touch(self, stream_id: str) -> None:
        """The stream is being read, if only by a poll."""
        if production := self._live.get(stream_id):
            production.orphan = 0

    async def sweep(self, clocks: Clocks) -> None:
        """Count a tick for every stream, and end those whose clocks have run out. Other tasks run in between."""
        for number, production in enumerate(list(self._live.values()), 1):
            if number % SWEPT_AT_ONCE == 0:
                await asyncio.sleep(0)
            production.tick()
            if production.abandoned:
                await self.end(production, production.failed("internal_error"))
            elif production.age * clocks.tick >= production.seconds:
                await self.end(production, production.failed("stream_timeout"))
            elif production.orphan >= clocks.orphan:
                await self._end_orphan(production)

    async def _end_orphan(self, production: Production) -> None:
        if await self._read_elsewhere(production.tail.info.id):
            production.orphan = 0
        else:
            await self.end(production, production.cancelled("orphaned"))

    async def _read_elsewhere(self, stream_id: str) -> bool:
        return self._peers is not None and await self._peers.read_elsewhere(stream_id)

    async def cancel(self, tail: Tail, reason: CancelReason) -> None:
        """Stop a stream, wherever it is produced; one that has ended keeps its outcome."""
        if production := self._live.get(tail.info.id):
            await self.end(production, production.cancelled(reason))
        elif self._elsewhere is not None and not tail.ended and not tail.produced_here:
            await self._elsewhere.cancel(tail, reason)

    async def revoke(self, key_ids: Collection[str]) -> None:
        """Stop every stream of this process that one of these credentials started."""
        for production in list(self._live.values()):
            if production.tail.info.key_id in key_ids:
                await self.end(production, production.cancelled("revoked"))

    async def end(self, production: Production, outcome: Terminal) -> None:
        """Seal, and abort the producer. For a stream in a session, a task of its own does the rest."""
        tail = production.tail
        try:
            sealed = await self._log.seal(tail, outcome)
        except Fenced:
            self.fenced(tail.info.id)
            return
        self._abort(production)
        if sealed != outcome:  # perhaps by another process, which could only estimate
            sealed = replace(sealed, spent=production.meter.spent(tail.events))
        if tail.info.message_id is None:
            await self._announce(production, sealed)
        elif production.concluding is None or production.concluding.done():
            production.concluding = self._tasks.start(self._conclude(production, sealed), "ending")

    def bury(self, tail: Tail) -> None:
        """End a stream whose process is gone. This process has claimed it."""
        if self._elsewhere is not None:
            self._elsewhere.bury(tail)

    def sealed_elsewhere(self, stream_id: str) -> None:
        """Another process has fixed the outcome of a stream of this one: conclude it."""
        if production := self._live.get(stream_id):
            work = self.end(production, production.failed("internal_error"))  # the sealed outcome stands
            self._tasks.start(work, "ending")

    async def unread(self, stream_id: str) -> None:
        """A reader has left. If it was the last one of all processes, and the client asked for that, end the stream."""
        production = self._live.get(stream_id)
        if production is None or production.tail.info.on_disconnect != "cancel" or production.tail.followers:
            return
        if not await self._read_elsewhere(stream_id) and not production.tail.followers:
            await self.end(production, production.cancelled("disconnected"))

    def left_elsewhere(self, stream_id: str) -> None:
        """The last reader that another process had of a stream of this one has left."""
        self._tasks.start(self.unread(stream_id), "ending")

    def fenced(self, stream_id: str) -> None:
        """Another process has taken the stream over, thinking this one dead: stop producing it, and save nothing."""
        if production := self._live.get(stream_id):
            log.warning("a stream was taken over by another process", stream_id=stream_id)
            self._forget(production)
            self._abort(production)

    async def quiet(self) -> None:
        """Returns once no stream runs."""
        await self._idle.wait()

    async def end_all(self, code: str) -> None:
        """End every running stream with an error, and wait until answers are saved and producers have stopped."""
        for production in list(self._live.values()):
            await self.end(production, production.failed(code))
        await self._tasks.wait(_CLOSE_SECONDS)

    async def _produce(self, production: Production, source: Source) -> None:
        stream_id = production.tail.info.id
        try:
            outcome = await self._producer.copy(production, source)
        except StreamForgeError as error:
            outcome = production.failed(error.code, error.retry_after)
        except Fenced:
            self.fenced(stream_id)
            return
        except Exception as error:
            log.error("a producer failed unexpectedly", stream_id=stream_id, exc_info=error)
            outcome = production.failed("internal_error")
        try:
            await self.end(production, outcome)
        except Exception as error:  # the log fails: the sweeper will find the dead task, and try again
            log.error("a stream could not be ended", stream_id=stream_id, exc_info=error)

    async def _conclude(self, production: Production, sealed: Terminal) -> None:
        tail = production.tail
        try:
            final = await self._keeper.save(tail, sealed, production.first_word_ms(), production.total_ms())
            await self._announce(production, final)
        except Exception as error:  # the sweeper will find that this task has ended, and try again
            log.error("a stream could not be concluded", stream_id=tail.info.id, exc_info=error)

    async def _announce(self, production: Production, final: Terminal) -> None:
        tail = production.tail
        try:
            await self._log.announce(tail, final)
        except Fenced:
            self.fenced(tail.info.id)
            return
        if self._forget(production):
            if attempt := production.last_attempt(final):
                self._observer.attempt_ended(tail.info, attempt)
            await self._settle(production.ended(final))

    async def _settle(self, end: Ended) -> None:
        """Do what is due once after a stream's end: tell observers, and free the key of a request that got nothing."""
        self._observer.ended(end)
        info = end.info
        if info.idempotency_key is not None and isinstance(end.outcome, Failed) and not end.deltas:
            await self._log.keys.release(info.owner, info.idempotency_key, info.id)

    def _abort(self, production: Production) -> None:
        task = production.task
        if task is not None and task is not asyncio.current_task() and not task.done():
            self._tasks.hold(task)  # until it has closed its connection to the model
            task.cancel()

    def _forget(self, production: Production) -> bool:
        """Let go of the stream; false if this process no longer had it."""
        ours = self._live.pop(production.tail.info.id, None) is not None
        if production.held is not None:
            production.held.release()
        if not self._live:
            self._idle.set()
        return ours


def _not_ended(error: BaseException) -> None:
    """The sweeper, or another process, will find the stream and try again."""
    log.error("a stream could not be ended", exc_info=error)
