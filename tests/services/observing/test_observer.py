"""What observers learn of a stream, whatever its end, and what it costs."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from domain.catalogue import ModelEntry
from domain.errors import StreamForgeError
from domain.events import Cancelled, Delta, Done, Failed, Terminal
from domain.models import Backoff, Finished
from domain.streams import Ask, StreamInfo, digest, new_stream_id
from domain.usage import Attempt, Usage
from services.accounts.metering import Meter
from services.accounts.prices import Prices
from services.answering.answerer import Run, Source
from services.answering.cooling import Cooling
from services.answering.failover import Failover, RetryPolicy
from services.chain_service import Chain
from services.observing.observer import Ended, Observer, Observers
from services.streams.first_sign import ends
from services.streams.supervisor import Supervisor
from stores.streams.memory import MemoryStreamLog
from stores.streams.tail import Tail
from tests.support.catalogue import NAMED

NOTHING: Any = None  # no stream here is in a session, or ends in another process
OTHER = replace(NAMED, id="other")
SECONDS = 20


class Heard(Observer):
    """Writes down every call."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.attempts: list[Attempt] = []
        self.ends: list[Ended] = []

    def started(self, info: StreamInfo) -> None:
        self.calls.append("started")

    def first_word(self, info: StreamInfo, ms: int) -> None:
        self.calls.append("first word")

    def attempt_ended(self, info: StreamInfo, attempt: Attempt) -> None:
        self.calls.append("attempt ended")
        self.attempts.append(attempt)

    def ended(self, end: Ended) -> None:
        self.calls.append("ended")
        self.ends.append(end)


class Broken(Observer):
    def started(self, info: StreamInfo) -> None:
        raise ZeroDivisionError

    def first_word(self, info: StreamInfo, ms: int) -> None:
        raise ZeroDivisionError

    def attempt_ended(self, info: StreamInfo, attempt: Attempt) -> None:
        raise ZeroDivisionError

    def ended(self, end: Ended) -> None:
        raise ZeroDivisionError


async def words(count: int) -> Source:
    for _ in range(count):
        yield Delta("word ")
    yield Finished("stop")


async def refused(*words_before: str) -> Source:
    for text in words_before:
        yield Delta(text)
    raise StreamForgeError("provider_refused")


async def endless(begun: asyncio.Event) -> Source:
    yield Delta("word")
    begun.set()
    await asyncio.Event().wait()


class FarLog(MemoryStreamLog):
    """A log that takes a turn of the loop to end a stream, so that several may try at once."""

    async def seal(self, tail: Tail, outcome: Terminal) -> Terminal:
        await asyncio.sleep(0)
        return await super().seal(tail, outcome)

    async def announce(self, tail: Tail, outcome: Terminal) -> None:
        await asyncio.sleep(0)
        await super().announce(tail, outcome)


class Stream:
    """One stream that `observer` is told of."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._log = FarLog(retention=600, retained_bytes=2**20)
        self.supervisor = Supervisor(self._log, observer, NOTHING, NOTHING, max_events=1_000, max_bytes=10_000)
        self.tail: Tail = NOTHING
        self.meter: Meter = NOTHING

    async def open(self) -> None:
        info = StreamInfo(new_stream_id(), NAMED.id, 1, "detach", digest("x"), "local")
        self.tail = await self._log.open(info)
        self.meter = Meter(Prices(), NAMED, 1, partial(self._observer.attempt_ended, info))

    async def run(self, source: Source) -> None:
        self.supervisor.run(self.tail, source, self.meter, 60)
        assert await ends(self.tail, SECONDS)
        await self.supervisor.quiet()


async def test_a_stream_is_heard_of_from_its_start_to_its_end() -> None:
    heard = Heard()
    stream = Stream(heard)
    await stream.open()
    await stream.run(words(3))
    assert heard.calls == ["started", "first word", "attempt ended", "ended"]
    (end,) = heard.ends
    assert (end.info, end.outcome, end.deltas) == (stream.tail.info, stream.tail.outcome, 3)
    assert end.first_word_ms is not None
    assert end.total_ms is not None
    assert 0 <= end.first_word_ms <= end.total_ms
    assert [(attempt.model, attempt.error) for attempt in heard.attempts] == [(NAMED.id, None)]


@pytest.mark.parametrize("count", [2, 50])
async def test_no_call_comes_with_every_word(count: int) -> None:
    heard = Heard()
    stream = Stream(heard)
    await stream.open()
    await stream.run(words(count))
    assert len(heard.calls) == 4


async def test_a_stream_without_a_word_has_no_first_word() -> None:
    heard = Heard()
    stream = Stream(heard)
    await stream.open()
    await stream.run(refused())
    assert heard.calls == ["started", "attempt ended", "ended"]
    assert heard.ends[0].first_word_ms is None
    assert [attempt.error for attempt in heard.attempts] == ["provider_refused"]


async def test_a_stream_that_is_cancelled_by_many_ends_once() -> None:
    heard = Heard()
    stream = Stream(heard)
    await stream.open()
    begun = asyncio.Event()
    running = asyncio.create_task(stream.run(endless(begun)))
    async with asyncio.timeout(SECONDS):
        await begun.wait()
    await asyncio.gather(*(stream.supervisor.cancel(stream.tail, "requested") for _ in range(3)))
    await running
    assert heard.calls == ["started", "first word", "attempt ended", "ended"]
    assert isinstance(heard.ends[0].outcome, Cancelled)


async def test_every_attempt_is_heard_of() -> None:
    async def open_answer(entry: ModelEntry, ask: Ask) -> Chain:
        if entry is NAMED:
            raise StreamForgeError("provider_overloaded")

        async def answer() -> Chain:
            yield Delta("word")
            yield Usage(1, 1, exact=True)
            yield Finished("stop")

        return answer()

    async def told(event: object) -> None:
        raise AssertionError("no model is silent here")

    heard = Heard()
    stream = Stream(heard)
    await stream.open()
    cooling = Cooling(60, asyncio.get_running_loop().time)
    failover = Failover(open_answer, Prices(), cooling, RetryPolicy(Backoff(1, 0, 0), 60))
    await stream.run(failover.answer(Ask("x"), Run("local", [NAMED, OTHER], stream.meter, told)))
    assert heard.calls == ["started", "attempt ended", "attempt ended", "first word", "attempt ended", "ended"]
    assert [(attempt.model, attempt.error) for attempt in heard.attempts] == [
        (NAMED.id, "provider_overloaded"), (NAMED.id, "provider_overloaded"), ("other", None),
    ]  # fmt: skip
    assert isinstance(stream.tail.outcome, Done)
    assert stream.tail.outcome.model == "other"


@pytest.mark.parametrize(("source", "outcome"), [(partial(words, 2), Done), (refused, Failed)])
async def test_an_observer_that_raises_costs_neither_the_stream_nor_the_others(
    source: Callable[[], Source], outcome: type[Done | Failed]
) -> None:
    heard = Heard()
    stream = Stream(Observers((Broken(), heard)))
    await stream.open()
    await stream.run(source())
    assert isinstance(stream.tail.outcome, outcome)
    assert [heard.calls[0], *heard.calls[-2:]] == ["started", "attempt ended", "ended"]
