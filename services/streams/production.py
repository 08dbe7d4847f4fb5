"""A running stream, as its supervisor sees it."""

import asyncio

from structlog.contextvars import get_contextvars

from domain.citations import cited
from domain.events import Cancelled, CancelReason, Done, Failed
from domain.models import Finished
from services.accounts.metering import Meter
from stores.streams.base import Tail


class Production:
    """Its log, the task that writes it, its account, and its clocks in ticks.

    `seconds` is how long it may take in all; `seq` the number of the last event that was sent to the log; `begun` and
    `first_word` are moments on the loop's clock.
    """

    __slots__ = (
        "age",
        "begun",
        "concluding",
        "first_word",
        "meter",
        "orphan",
        "request_id",
        "seconds",
        "seq",
        "tail",
        "task",
    )

    def __init__(self, tail: Tail, meter: Meter, seconds: float) -> None:
        self.tail = tail
        self.meter = meter
        self.seconds = seconds
        self.seq = len(tail.events)
        self.task: asyncio.Task[None] | None = None
        self.concluding: asyncio.Task[None] | None = None
        self.request_id = get_contextvars().get("request_id")  # of the request that started it, whoever ends it
        self.begun = asyncio.get_running_loop().time()
        self.first_word: float | None = None
        self.age = 0
        self.orphan = 0

    @property
    def abandoned(self) -> bool:
        """Whether the producer is gone, nobody concludes for it, and the stream has not ended all the same."""
        return self.task is not None and self.task.done() and (self.concluding is None or self.concluding.done())

    def done(self, finished: Finished) -> Done:
        """The outcome, when the model says that it has finished."""
        spent = self.meter.spent(self.tail.events, whole=True)
        sources, unknown = cited(self.tail.events)
        return Done(finished.reason, self.meter.model, spent, self.tail.info.message_id, sources, unknown)

    def failed(self, code: str, retry_after: int | None = None) -> Failed:
        """The outcome, when something goes wrong now."""
        return Failed(code, self.meter.spent(self.tail.events, code), retry_after)

    def cancelled(self, reason: CancelReason) -> Cancelled:
        """The outcome, when somebody stops it now."""
        return Cancelled(reason, self.meter.spent(self.tail.events))

    def first_word_ms(self) -> int | None:
        """From the start to the first word."""
        return None if self.first_word is None else round((self.first_word - self.begun) * 1000)

    def total_ms(self) -> int:
        """From the start to now."""
        return round((asyncio.get_running_loop().time() - self.begun) * 1000)
