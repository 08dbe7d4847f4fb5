"""A running stream, as its supervisor sees it."""

import asyncio

from structlog.contextvars import get_contextvars

from domain.citations import cited
from domain.events import Cancelled, CancelReason, Done, Failed, Terminal
from domain.models import Finished
from domain.streams import deltas
from domain.usage import Attempt
from services.access.running import RunningStreams
from services.accounts.budget import Reservation
from services.accounts.metering import Meter
from services.observing.observer import Ended
from stores.streams.tail import Tail


class Held:
    """An owner's place for a stream, and the tokens that are set aside for it, until they are released."""

    __slots__ = ("_owner", "_reservation", "_running")

    def __init__(self, running: RunningStreams, owner: str, reservation: Reservation | None) -> None:
        self._running: RunningStreams | None = running
        self._owner = owner
        self._reservation = reservation

    def may_take(self, tokens: int) -> None:
        """Set so many tokens aside instead."""
        if self._reservation is not None:
            self._reservation.change(tokens)

    def release(self) -> None:
        """Give everything back; again does nothing."""
        if self._running is not None:
            self._running.give_back(self._owner)
            self._running = None
        if self._reservation is not None:
            self._reservation.release()


class Production:
    """A stream that this process produces: its log, the task that writes it, its account, and its clocks.

    `age` and `orphan` count ticks; `seconds` is the limit of the whole stream. `seq` is the number of the last event
    that was sent to the log. `begun` and `first_word` are moments on the loop's clock. `held` is released at the end.
    """

    __slots__ = (
        "age",
        "begun",
        "concluding",
        "first_word",
        "held",
        "meter",
        "orphan",
        "request_id",
        "seconds",
        "seq",
        "tail",
        "task",
    )

    def __init__(self, tail: Tail, meter: Meter, seconds: float, held: Held | None = None) -> None:
        self.tail = tail
        self.held = held
        self.meter = meter
        self.seconds = seconds
        self.seq = len(tail.events)
        self.task: asyncio.Task[None] | None = None
        self.concluding: asyncio.Task[None] | None = None
        self.request_id = get_contextvars().get("request_id")  # of the request that started the stream
        self.begun = asyncio.get_running_loop().time()
        self.first_word: float | None = None
        self.age = 0
        self.orphan = 0

    @property
    def abandoned(self) -> bool:
        """Whether the stream still runs although its task has ended and no other task concludes it."""
        return self.task is not None and self.task.done() and (self.concluding is None or self.concluding.done())

    def tick(self) -> None:
        """Count one tick.

        Without readers a stream is an orphan; except in a session, where its answer is stored, unless the client asked
        to cancel it by leaving.
        """
        info = self.tail.info
        self.age += 1
        kept = info.session_id is not None and info.on_disconnect == "detach"
        self.orphan = 0 if self.tail.followers or kept else self.orphan + 1

    def ended(self, outcome: Terminal) -> Ended:
        """What observers learn when the end has been announced."""
        tail = self.tail
        said = deltas(tail.events)
        return Ended(tail.info, outcome, said, self.request_id, self.first_word_ms(), self.total_ms())

    def last_attempt(self, outcome: Terminal) -> Attempt | None:
        """The attempt that was running when the stream ended, if any."""
        if not self.meter.asking:
            return None
        spent = outcome.spent
        code = outcome.code if isinstance(outcome, Failed) else None
        return spent.attempts[-1] if spent.attempts else Attempt(self.meter.model, spent.usage, spent.cost, code)

    def done(self, finished: Finished) -> Done:
        """The outcome if the model says now that it has finished."""
        spent = self.meter.spent(self.tail.events, whole=True)
        sources, unknown = cited(self.tail.events)
        return Done(finished.reason, self.meter.model, spent, self.tail.info.message_id, sources, unknown)

    def failed(self, code: str, retry_after: int | None = None) -> Failed:
        """The outcome if the stream fails now."""
        return Failed(code, self.meter.spent(self.tail.events, code), retry_after)

    def cancelled(self, reason: CancelReason) -> Cancelled:
        """The outcome if the stream is cancelled now."""
        return Cancelled(reason, self.meter.spent(self.tail.events))

    def first_word_ms(self) -> int | None:
        """Milliseconds from the start to the first word."""
        return None if self.first_word is None else round((self.first_word - self.begun) * 1000)

    def total_ms(self) -> int:
        """Milliseconds from the start to now."""
        return round((asyncio.get_running_loop().time() - self.begun) * 1000)
