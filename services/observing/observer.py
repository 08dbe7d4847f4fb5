"""What is said of a stream to whoever keeps an account of it, in four calls; none of them comes with every word."""

from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from domain.events import Terminal
from domain.streams import StreamInfo
from domain.usage import Attempt

log = structlog.get_logger("streams")


@dataclass(frozen=True, slots=True)
class Ended:
    """A stream has ended, and this is what came of it.

    `deltas` is the number of pieces of the answer. `request_id` is that of the request that started the stream, and
    the two times are in milliseconds from its start; all three are None if another process answered it.
    """

    info: StreamInfo
    outcome: Terminal
    deltas: int
    request_id: str | None = None
    first_word_ms: int | None = None
    total_ms: int | None = None


class Observer:
    """Hears of streams. Nothing here may wait; an observer overrides what it wants to hear."""

    def started(self, info: StreamInfo) -> None:
        """The stream's producer has begun, in this process."""

    def first_word(self, info: StreamInfo, ms: int) -> None:
        """The first word has come, so many milliseconds after the start."""

    def attempt_ended(self, info: StreamInfo, attempt: Attempt) -> None:
        """One model has been asked once, and has answered or failed; called in this process alone."""

    def ended(self, end: Ended) -> None:
        """The end has been announced; called once a stream, by the process that announces it."""


class Observers(Observer):
    """Passes everything on to several. One that fails costs the stream nothing, and the others hear all the same."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = tuple(observers)

    def started(self, info: StreamInfo) -> None:
        for each in self._observers:
            try:
                each.started(info)
            except Exception as error:
                _failed(each, error)

    def first_word(self, info: StreamInfo, ms: int) -> None:
        for each in self._observers:
            try:
                each.first_word(info, ms)
            except Exception as error:
                _failed(each, error)

    def attempt_ended(self, info: StreamInfo, attempt: Attempt) -> None:
        for each in self._observers:
            try:
                each.attempt_ended(info, attempt)
            except Exception as error:
                _failed(each, error)

    def ended(self, end: Ended) -> None:
        for each in self._observers:
            try:
                each.ended(end)
            except Exception as error:
                _failed(each, error)


def _failed(observer: Observer, error: Exception) -> None:
    log.error("an observer of streams failed", observer=type(observer).__name__, exc_info=error)
