"""The contract of a stream log; every implementation must pass it. One joins by adding itself to `LOGS`."""

from collections.abc import Callable

import pytest

from domain.events import Cancelled, Delta, Done, Started
from domain.streams import StreamInfo, digest, new_stream_id
from domain.usage import Spent, Usage
from stores.streams.base import Appended, StreamLog
from stores.streams.memory import MemoryStreamLog

SPENT = Spent(Usage(1, 1, exact=False), None)
DONE = Done("stop", "simulated", SPENT)
CANCELLED = Cancelled("requested", SPENT)


class Clock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Woken:
    """A follower that counts."""

    def __init__(self) -> None:
        self.times = 0

    def wake(self) -> None:
        self.times += 1

    def cut(self) -> None:
        raise AssertionError("this log is never out of reach")


LOGS: dict[str, Callable[[Clock, int], StreamLog]] = {
    "memory": lambda clock, size: MemoryStreamLog(retention=600, retained_bytes=size, clock=clock),
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=list(LOGS))
def log(request: pytest.FixtureRequest, clock: Clock) -> StreamLog:
    return LOGS[request.param](clock, 1_000_000)


def info() -> StreamInfo:
    return StreamInfo(new_stream_id(), "simulated", 1, "detach", digest("hello"), "local")


async def test_a_new_log_holds_its_start_and_is_found_by_its_id(log: StreamLog) -> None:
    about = info()
    tail = await log.open(about)
    assert tail.events == [Started(about.id, "simulated", 1)]
    assert await log.find(about.id) is tail
    assert await log.find(new_stream_id()) is None


async def test_events_come_back_in_order_and_dense(log: StreamLog) -> None:
    tail = await log.open(info())
    for seq, text in enumerate("abc", 2):
        assert await log.append(tail, seq, Delta(text)) is Appended.OK
    assert tail.events[1:] == [Delta("a"), Delta("b"), Delta("c")]


async def test_an_append_that_is_repeated_is_a_duplicate_and_changes_nothing(log: StreamLog) -> None:
    tail = await log.open(info())
    await log.append(tail, 2, Delta("a"))
    assert await log.append(tail, 2, Delta("other")) is Appended.DUPLICATE
    assert tail.events[1:] == [Delta("a")]


async def test_a_gap_is_refused_loudly(log: StreamLog) -> None:
    tail = await log.open(info())
    with pytest.raises(ValueError, match="gap"):
        await log.append(tail, 3, Delta("a"))


async def test_the_first_seal_wins_and_nothing_is_taken_after_it(log: StreamLog) -> None:
    tail = await log.open(info())
    assert await log.seal(tail, CANCELLED) == CANCELLED
    assert await log.seal(tail, DONE) == CANCELLED
    assert await log.append(tail, 2, Delta("late")) is Appended.CLOSED
    assert tail.events[1:] == []
    assert not tail.ended


async def test_announcing_appends_the_sealed_outcome_exactly_once(log: StreamLog) -> None:
    tail = await log.open(info())
    await log.announce(tail, DONE)
    assert not tail.ended, "there is nothing to announce before the seal"
    await log.seal(tail, DONE)
    for _ in range(3):
        await log.announce(tail, DONE)
    assert tail.events[1:] == [DONE]
    assert tail.ended


async def test_a_lost_reply_to_the_last_append_reads_duplicate_rather_than_closed(log: StreamLog) -> None:
    tail = await log.open(info())
    await log.append(tail, 2, Delta("a"))
    await log.seal(tail, DONE)
    assert await log.append(tail, 2, Delta("a")) is Appended.DUPLICATE


async def test_followers_are_woken_for_every_event_and_for_the_end(log: StreamLog) -> None:
    tail = await log.open(info())
    follower = Woken()
    tail.followers.append(follower)
    await log.append(tail, 2, Delta("a"))
    await log.append(tail, 3, Delta("b"))
    await log.seal(tail, DONE)
    await log.announce(tail, DONE)
    assert follower.times == 3


async def test_the_size_is_that_of_the_text_in_utf8(log: StreamLog) -> None:
    tail = await log.open(info())
    await log.append(tail, 2, Delta("aé漢😀"))
    assert tail.size == 1 + 2 + 3 + 4


async def test_a_finished_log_goes_after_its_retention_and_a_running_one_never(log: StreamLog, clock: Clock) -> None:
    running, finished = await log.open(info()), await log.open(info())
    await log.seal(finished, DONE)
    await log.announce(finished, DONE)
    clock.now += 599
    await log.expire()
    assert await log.find(finished.info.id) is finished
    clock.now += 1
    await log.expire()
    assert await log.find(finished.info.id) is None
    assert await log.find(running.info.id) is running
    assert await log.append(finished, 3, Delta("late")) is Appended.MISSING


@pytest.mark.parametrize("kind", list(LOGS))
async def test_finished_logs_over_the_byte_limit_go_oldest_first(kind: str, clock: Clock) -> None:
    log = LOGS[kind](clock, 250_000)
    tails = [await log.open(info()) for _ in range(3)]
    for tail in tails:
        await log.append(tail, 2, Delta("x" * 100_000))
        await log.seal(tail, DONE)
        await log.announce(tail, DONE)
    await log.expire()
    assert [await log.find(tail.info.id) for tail in tails] == [None, *tails[1:]]
