"""The interface of observers: four calls in the life of a stream, and none for every word."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from domain.events import Terminal
from domain.streams import StreamInfo
from domain.usage import Attempt

log = structlog.get_logger("streams")


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a stream.

    `deltas` is the number of pieces of the answer. `request_id` is the id of the request that started the stream, and
    the two times are in milliseconds from its start; all three are `None` if another process produced it.
    """

    info: StreamInfo
    outcome: Terminal
    deltas: int
    request_id: str | None = None
    first_word_ms: int | None = None
    total_ms: int | None = None


class Observer:
    """Learns what happens to streams. It overrides the calls that it needs; they must return at once."""

    def started(self, info: StreamInfo) -> None:
        """This process has begun to produce the stream."""

    def first_word(self, info: StreamInfo, ms: int) -> None:
        """The first word has come, `ms` milliseconds after the start."""

    def attempt_ended(self, info: StreamInfo, attempt: Attempt) -> None:
        """One attempt has ended, with an answer or an error; called only in the process that produces the stream."""

    def ended(self, end: Ended) -> None:
        """The end has been announced; called once for a stream, in the process that announces it."""


class Observers(Observer):
    """Passes every call on to several observers. If one raises, that is logged, and the others are still called."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = tuple(observers)

    def started(self, info: StreamInfo) -> None:
        self._call(lambda each: each.started(info))

    def first_word(self, info: StreamInfo, ms: int) -> None:
        self._call(lambda each: each.first_word(info, ms))

    def attempt_ended(self, info: StreamInfo, attempt: Attempt) -> None:
        self._call(lambda each: each.attempt_ended(info, attempt))

    def ended(self, end: Ended) -> None:
        self._call(lambda each: each.ended(end))

    def _call(self, tell: Callable[[Observer], None]) -> None:
        for each in self._observers:
            try:
                tell(each)
            except Exception as error:
                log.error("an observer of streams failed", observer=type(each).__name__, exc_info=error)
