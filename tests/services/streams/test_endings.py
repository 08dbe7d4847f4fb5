"""Every stream ends in exactly one terminal event, whoever ends it, in whatever order, and whatever fails.

Shows F10, F25 and F30.
"""

import asyncio
import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import StreamForgeError
from domain.events import TERMINAL, Delta, Done, Event, Failed, Started, Terminal
from domain.messages import new_id
from domain.models import Finished
from domain.streams import StreamInfo, digest, new_stream_id, said
from domain.usage import Spent, Usage
from services.accounts.metering import Meter
from services.accounts.prices import Prices
from services.accounts.usage_service import UsageService
from services.answering.answerer import Source
from services.storage import Storage
from services.streams.clocks import Clocks
from services.streams.readers import Readers
from services.streams.supervisor import Supervisor
from services.upkeep.sweeper import Sweeper
from stores.streams.base import Appended
from stores.streams.memory import MemoryStreamLog
from stores.streams.tail import Tail
from tests.support.catalogue import NAMED
from tests.support.effort import examples

CLOCKS = Clocks.of(heartbeat=0.02, send=0.02, orphan=50, whole=60)


async def words(*texts: str) -> Source:
    for text in texts:
        await asyncio.sleep(0)
        yield Delta(text)
    yield Usage(1, len(texts), exact=True)
    yield Finished("stop")


class TroubledLog(MemoryStreamLog):
    """The memory log behind a network: a call may take a few turns of the loop, and every n-th one fails."""

    def __init__(self, turns: list[int], fail_on: int = 0) -> None:
        super().__init__(retention=600, retained_bytes=2**20)
        self._turns = turns
        self._fail_on = fail_on
        self.calls = 0

    async def _trouble(self) -> None:
        self.calls += 1
        for _ in range(self._turns[self.calls % len(self._turns)] if self._turns else 0):
            await asyncio.sleep(0)
        if self.calls == self._fail_on:
            raise ConnectionError("the log did not answer")

    async def append(self, tail: Tail, seq: int, event: Event) -> Appended:
        await self._trouble()
        return await super().append(tail, seq, event)

    async def seal(self, tail: Tail, outcome: Terminal) -> Terminal:
        await self._trouble()
        return await super().seal(tail, outcome)

    async def announce(self, tail: Tail, outcome: Terminal) -> None:
        await self._trouble()
        await super().announce(tail, outcome)


class End:
    """A follower that waits for the announcement."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self.event = asyncio.Event()

    def wake(self) -> None:
        if self._tail.ended:
            self.event.set()

    def cut(self) -> None:
        raise AssertionError("this log is never out of reach")


async def opened(log: MemoryStreamLog, session_id: str | None = None) -> Tail:
    message_id = new_id() if session_id else None
    info = StreamInfo(
        new_stream_id(), "test", 1, "detach", digest("x"), "local", session_id=session_id, message_id=message_id
    )
    return await log.open(info)


class Kept:
    """A store of answers that fails as often as it is told, and takes a few turns of the loop."""

    def __init__(self, failures: int = 0) -> None:
        self.answers: list[tuple[str, Terminal]] = []
        self._failures = failures

    async def save(self, tail: Tail, sealed: Terminal, first_word_ms: int | None, total_ms: int | None) -> Terminal:
        for _ in range(3):
            await asyncio.sleep(0)
        if self._failures:
            self._failures -= 1
            raise ConnectionError("the database did not answer")
        self.answers.append((said(tail.events), sealed))
        return sealed


async def no_estimate(tail: Tail) -> Spent:
    return Spent(Usage(0, 0, exact=False), None)


def supervisor(
    log: MemoryStreamLog, max_events: int = 1000, max_bytes: int = 1000, kept: Kept | None = None
) -> Supervisor:
    usage = UsageService(Storage("sqlite:///unused"), every_stream=False)
    return Supervisor(log, usage, kept or Kept(), no_estimate, max_events=max_events, max_bytes=max_bytes)


def run(owner: Supervisor, tail: Tail, source: Source) -> None:
    owner.run(tail, source, Meter(Prices(), NAMED, 1), 60)


def estimated(output: int, code: str) -> Failed:
    return Failed(code, Spent(Usage(1, output, exact=False), None))


async def settled(tail: Tail) -> None:
    async with asyncio.timeout(20):
        ended = End(tail)
        tail.followers.append(ended)
        ended.wake()
        await ended.event.wait()
    for _ in range(50):  # whatever else would come, comes
        await asyncio.sleep(0)


def assert_one_honest_end(tail: Tail) -> None:
    first, *middle, last = tail.events
    assert isinstance(first, Started)
    assert all(isinstance(event, Delta) for event in middle)
    assert isinstance(last, TERMINAL)
    assert last == tail.outcome


async def ended_by(source: Source, max_events: int = 1000, max_bytes: int = 1000) -> Terminal:
    log = MemoryStreamLog(retention=600, retained_bytes=2**20)
    owner = supervisor(log, max_events, max_bytes)
    tail = await opened(log)
    run(owner, tail, source)
    await settled(tail)
    assert_one_honest_end(tail)
    assert not owner.count
    assert tail.outcome is not None
    return tail.outcome


async def test_success_ends_in_done() -> None:
    assert await ended_by(words("a", "b")) == Done("stop", "test", Spent(Usage(1, 2, exact=True), None))


@pytest.mark.parametrize("before", [[], ["a", "b"]])
async def test_a_model_error_before_or_after_the_first_word_ends_in_its_code(before: list[str]) -> None:
    async def failing() -> Source:
        for text in before:
            yield Delta(text)
        raise StreamForgeError("provider_timeout")

    assert await ended_by(failing()) == estimated(len(before), "provider_timeout")


async def test_an_exception_nobody_foresaw_ends_in_internal_error() -> None:
    async def broken() -> Source:
        yield Delta("a")
        raise ZeroDivisionError("a secret")

    assert await ended_by(broken()) == estimated(1, "internal_error")


async def test_a_source_that_just_stops_is_told_as_incomplete() -> None:
    async def short() -> Source:
        yield Delta("a")

    assert await ended_by(short()) == estimated(1, "provider_incomplete")


async def test_the_log_limits_hold_to_the_event_and_to_the_byte() -> None:
    assert isinstance(await ended_by(words("a", "b", "c"), max_events=5), Done)
    assert await ended_by(words("a", "b", "c"), max_events=4) == estimated(2, "log_limit")
    assert isinstance(await ended_by(words("é", "é"), max_bytes=4), Done)
    assert await ended_by(words("é", "é"), max_bytes=3) == estimated(1, "log_limit")


async def test_the_source_is_closed_when_its_stream_is_cancelled() -> None:
    closed = asyncio.Event()
    waiting = asyncio.Event()

    async def endless() -> Source:
        try:
            yield Delta("a")
            waiting.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    log = MemoryStreamLog(retention=600, retained_bytes=2**20)
    owner = supervisor(log)
    tail = await opened(log)
    run(owner, tail, endless())
    await waiting.wait()
    await owner.cancel(tail, "requested")
    async with asyncio.timeout(5):
        await closed.wait()
    assert_one_honest_end(tail)


@settings(max_examples=examples(150), deadline=None)
@given(
    turns=st.lists(st.integers(0, 3), max_size=7),
    enders=st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["cancel", "sweep", "drain"])), max_size=4),
)
async def test_cancel_sweep_and_drain_may_race_with_completion(turns: list[int], enders: list[tuple[int, str]]) -> None:
    log = TroubledLog(turns)
    owner = supervisor(log)
    tail = await opened(log)

    async def end(after: int, kind: str) -> None:
        for _ in range(after):
            await asyncio.sleep(0)
        if kind == "cancel":
            await owner.cancel(tail, "requested")
        elif kind == "sweep":
            if production := owner._live.get(tail.info.id):
                await owner.end(production, production.failed("stream_timeout"))
        else:
            await owner.end_all("server_draining")

    run(owner, tail, words("a", "b", "c"))
    await asyncio.gather(*(end(*ender) for ender in enders))
    await settled(tail)
    assert_one_honest_end(tail)
    assert not owner.count


@pytest.mark.parametrize("fail_on", range(1, 9))
async def test_a_log_that_fails_once_at_any_call_still_leaves_one_end(fail_on: int) -> None:
    log = TroubledLog([], fail_on)
    owner = supervisor(log)
    tail = await opened(log)
    sweeper = asyncio.create_task(Sweeper(CLOCKS, owner, Readers(), log).run())
    run(owner, tail, words("a", "b", "c"))
    await settled(tail)
    sweeper.cancel()
    assert_one_honest_end(tail)
    assert not owner.count


async def test_what_fails_where_nobody_waits_for_it_is_seen_and_done_later() -> None:
    log = TroubledLog([], fail_on=3)
    owner = supervisor(log)
    tail = await opened(log)
    lost: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
    sweeper = asyncio.create_task(Sweeper(CLOCKS, owner, Readers(), log).run())
    said, gate = asyncio.Event(), asyncio.Event()

    async def waiting() -> Source:
        yield Delta("a")
        yield Delta("b")
        said.set()
        await gate.wait()

    run(owner, tail, waiting())
    await said.wait()
    owner.sealed_elsewhere(tail.info.id)  # and the log does not answer
    for _ in range(5):
        await asyncio.sleep(0)
    gate.set()
    await settled(tail)
    sweeper.cancel()
    gc.collect()
    assert lost == []


async def test_in_a_session_the_answer_is_saved_before_the_end_is_told() -> None:
    log, kept = MemoryStreamLog(retention=600, retained_bytes=2**20), Kept()
    tail = await opened(log, new_id())
    told: list[int] = []

    class Watching(End):
        def wake(self) -> None:
            super().wake()
            if self._tail.ended:
                told.append(len(kept.answers))

    tail.followers.append(Watching(tail))
    run(supervisor(log, kept=kept), tail, words("a", "b"))
    await settled(tail)
    assert told == [1]
    assert kept.answers == [("ab", tail.outcome)]
    assert isinstance(tail.outcome, Done)
    assert tail.outcome.message_id == tail.info.message_id


@settings(max_examples=examples(100), deadline=None)
@given(
    turns=st.lists(st.integers(0, 3), max_size=7),
    failures=st.integers(0, 2),
    enders=st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["cancel", "drain"])), max_size=4),
)
async def test_what_is_saved_is_what_is_told_whoever_ends_it(
    turns: list[int], failures: int, enders: list[tuple[int, str]]
) -> None:
    log, kept = TroubledLog(turns), Kept(failures)
    owner = supervisor(log, kept=kept)
    tail = await opened(log, new_id())

    async def end(after: int, kind: str) -> None:
        for _ in range(after):
            await asyncio.sleep(0)
        await (owner.cancel(tail, "requested") if kind == "cancel" else owner.end_all("server_draining"))

    run(owner, tail, words("a", "b", "c"))
    sweeper = asyncio.create_task(Sweeper(CLOCKS, owner, Readers(), log).run())
    await asyncio.gather(*(end(*ender) for ender in enders))
    await settled(tail)
    sweeper.cancel()
    assert_one_honest_end(tail)
    assert {(text, type(sealed)) for text, sealed in kept.answers} == {(said(tail.events), type(tail.outcome))}
    assert not owner.count
