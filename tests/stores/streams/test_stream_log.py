"""The contract of a stream log; every implementation must pass it. One joins by adding itself to the `kind`s."""

from collections.abc import AsyncIterator

import pytest

from domain.events import Delta, Failed, Started
from domain.streams import digest, new_stream_id
from stores.streams.base import Appended, Binding, StreamLog
from tests.stores.streams.logs import CANCELLED, DONE, SPENT, Kind, Told, Woken, finish, info, until_it


@pytest.fixture
async def log(kind: Kind) -> AsyncIterator[StreamLog]:
    async with kind.log() as log:
        yield log


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


async def test_the_end_may_say_more_exactly_what_was_sealed(log: StreamLog) -> None:
    tail = await log.open(info())
    await log.seal(tail, DONE)
    not_saved = Failed("not_saved", SPENT)
    await log.announce(tail, not_saved)
    assert tail.events[1:] == [not_saved]
    assert tail.outcome == not_saved


async def test_a_finished_log_goes_after_its_retention_and_a_running_one_never(kind: Kind) -> None:
    async with kind.log(short=True) as log:
        running, finished = await log.open(info()), await log.open(info())
        await log.seal(finished, DONE)
        await log.announce(finished, DONE)
        await kind.pass_time(part=0.5)
        await log.expire()
        assert await log.find(finished.info.id) is finished
        await kind.pass_time(part=0.5)

        async def gone() -> bool:
            await log.expire()
            return await log.find(finished.info.id) is None

        await until_it(gone)
        assert await log.find(running.info.id) is running
        assert await log.append(finished, 3, Delta("late")) is Appended.MISSING
        assert await log.append(running, 2, Delta("on")) is Appended.OK


async def test_finished_logs_over_the_byte_limit_go_oldest_first(kind: Kind) -> None:
    async with kind.log(250_000) as log:
        tails = [await log.open(info()) for _ in range(3)]
        for tail in tails:
            await log.append(tail, 2, Delta("x" * 100_000))
            await log.seal(tail, DONE)
            await log.announce(tail, DONE)
        await log.expire()
        assert [await log.find(tail.info.id) for tail in tails] == [None, *tails[1:]]


async def test_the_owner_whose_logs_are_largest_loses_its_oldest_first(kind: Kind) -> None:
    async with kind.log(250_000) as log:
        bobs = await finish(log, "bob", key="once", size=40_000)
        anns = [await finish(log, "ann", size=30_000) for _ in range(40)]
        await log.expire()
        assert await log.find(bobs.info.id) is bobs
        assert [tail for tail in anns if await log.find(tail.info.id)] == anns[-6:]
        last = await finish(log, "carol", size=60_000)
        await log.expire()
        assert [tail for tail in (bobs, *anns, last) if await log.find(tail.info.id)] == [bobs, *anns[-4:], last]


async def test_a_key_stays_bound_for_its_whole_time_though_its_log_had_to_go(kind: Kind) -> None:
    async with kind.log(0, short=True) as log:
        tail = await finish(log, "ann", key="once")
        await log.expire()
        assert await log.find(tail.info.id) is None
        assert await log.keys.find("ann", "once") == Binding(tail.info.id, digest("hello"))
        other = await log.open(info("ann"))
        late = Binding(other.info.id, digest("hello"))
        assert (await log.keys.bind("ann", "once", late)).stream_id == tail.info.id
        await kind.pass_time(part=1)

        async def free() -> bool:
            await log.expire()
            return await log.keys.find("ann", "once") is None

        await until_it(free)
        assert await log.keys.bind("ann", "once", late) == late


async def test_of_keys_without_logs_the_owner_with_most_loses_its_oldest() -> None:
    async with Kind().log(0, claims=5) as log:
        await finish(log, "bob", key="first")
        for number in range(10):
            await finish(log, "ann", key=str(number))
            await log.expire()
        assert await log.keys.find("bob", "first") is not None
        assert [number for number in range(10) if await log.keys.find("ann", str(number))] == [6, 7, 8, 9]


async def test_a_stream_that_never_came_to_be_is_forgotten_with_its_key(log: StreamLog) -> None:
    tail = await log.open(info())
    binding = Binding(tail.info.id, digest("hello"))
    assert await log.keys.bind("local", "key", binding) == binding
    await log.drop(tail)

    async def gone() -> bool:
        return await log.find(tail.info.id) is None

    await until_it(gone)
    other = await log.open(info())
    again = Binding(other.info.id, digest("hello"))
    assert await log.keys.bind("local", "key", again) == again


async def test_the_first_to_bind_a_key_keeps_it_and_another_owner_has_keys_of_their_own(log: StreamLog) -> None:
    first, second = await log.open(info()), await log.open(info())
    mine, late = Binding(first.info.id, digest("one")), Binding(second.info.id, digest("two"))
    assert await log.keys.bind("local", "key", mine) == mine
    assert await log.keys.bind("local", "key", late) == mine
    assert await log.keys.bind("other", "key", late) == late


async def test_only_the_stream_that_a_key_is_bound_to_can_free_it(log: StreamLog) -> None:
    first, second = await log.open(info()), await log.open(info())
    mine, late = Binding(first.info.id, digest("one")), Binding(second.info.id, digest("two"))
    await log.keys.bind("local", "key", mine)
    await log.keys.release("local", "key", second.info.id)
    assert await log.keys.bind("local", "key", late) == mine
    await log.keys.release("local", "key", first.info.id)
    assert await log.keys.bind("local", "key", late) == late


async def test_what_is_written_here_is_neither_lost_nor_read_elsewhere_nor_to_be_claimed(log: StreamLog) -> None:
    if log.peers is None:
        return  # nobody could
    told = Told()
    log.peers.listen(told)
    tail = await log.open(info())
    await log.peers.reading(tail)
    assert not await log.peers.read_elsewhere(tail.info.id)
    assert not await log.peers.claim(tail, force=True)
    assert await log.peers.lost() == []
    assert tail.produced_here
    assert (told.sealed, told.lost) == ([], [])
