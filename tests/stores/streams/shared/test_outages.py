"""Redis away, silent, emptied, or behind a bad network: streams go on where they are produced, and nobody lies.

Shows F12.
"""

import asyncio
import secrets
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator

import pytest

from domain.errors import StreamForgeError
from domain.events import Delta, Failed
from domain.streams import digest, new_stream_id
from stores.streams.base import Appended, Binding, StreamLog
from stores.streams.shared.log import RedisStreamLog
from stores.streams.tail import Tail
from tests.stores.streams.logs import CANCELLED, DONE, SPENT, Told, Woken, followed, info, shared_log, until, until_it
from tests.stores.streams.shared.conftest import Replicas
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.valkey import RedisServer, redis_server

pytestmark = pytest.mark.clock

LOST = Failed("producer_lost", SPENT)


@pytest.fixture
def own() -> Iterator[RedisServer]:
    """A Valkey that a test may harm."""
    with redis_server("valkey") as server:
        yield server


@pytest.fixture
async def proxy(valkey: RedisServer) -> AsyncIterator[FaultProxy]:
    async with fault_proxy(valkey.port) as proxy:
        yield proxy


@pytest.fixture
def server(valkey: RedisServer) -> RedisServer:
    """Networks are the same for both kinds."""
    return valkey


async def finish(log: StreamLog, tail: Tail) -> None:
    await log.seal(tail, DONE)
    await log.announce(tail, DONE)


async def back(log: RedisStreamLog) -> None:
    """Wait until new streams are shared again."""

    async def shared() -> bool:
        tail = await log.open(info())
        await log.drop(tail)
        return tail.shared

    await until_it(shared)


async def test_a_reply_that_is_lost_costs_no_event_and_doubles_none(replicas: Replicas, proxy: FaultProxy) -> None:
    async with replicas(url=proxy.url) as (here, there):
        tail = await here.open(info())
        copy = await there.find(tail.info.id)
        for seq in range(2, 60):
            if seq % 6 == 0:
                proxy.cut_in = 0
            elif seq % 7 == 0:
                proxy.cut_in = 2  # in the middle of an answer
            elif seq % 11 == 0:
                proxy.reset()
            assert await here.append(tail, seq, Delta(f"{seq} ")) is Appended.OK
        await finish(here, tail)
        assert proxy.cuts > 10
        assert tail.shared
        await until(lambda: copy is not None and copy.ended)
        assert copy is not None
        assert copy.events == tail.events
        assert [event.text for event in tail.events[1:-1] if isinstance(event, Delta)] == [
            f"{n} " for n in range(2, 60)
        ]


@pytest.mark.parametrize("step", ["open", "seal", "announce", "claim", "key"])
async def test_every_step_can_be_repeated_when_its_reply_is_lost(
    replicas: Replicas, proxy: FaultProxy, step: str
) -> None:
    def lose(now: str) -> None:
        if now == step:
            proxy.cut_in = 0

    async with replicas(url=proxy.url) as (here, there):
        await here.open(info())  # the connection is made
        lose("open")
        tail = await here.open(info())
        lose("key")
        binding = Binding(tail.info.id, digest("hello"))
        assert await here.keys.bind("local", "key", binding) == binding
        theirs = await there.open(info())
        copy = await here.find(theirs.info.id)
        assert copy is not None
        lose("claim")
        await here.peers.claim(copy, force=True)
        assert await there.append(theirs, 2, Delta("late")) is Appended.FENCED
        lose("seal")
        assert await here.seal(tail, DONE) == DONE
        lose("announce")
        await here.announce(tail, DONE)
        assert proxy.cuts == 1
        assert tail.shared
        seen = await there.find(tail.info.id)
        assert seen is not None
        assert seen.events == tail.events == [tail.events[0], DONE]


async def test_a_slow_network_is_none_that_is_gone(replicas: Replicas, proxy: FaultProxy) -> None:
    async with replicas(url=proxy.url) as (here, _):
        proxy.delay = 0.1
        tails = [await here.open(info()) for _ in range(3)]
        appended = await asyncio.gather(*(here.append(tail, 2, Delta("a")) for tail in tails))
        assert appended == [Appended.OK] * 3
        assert all(tail.shared for tail in tails)


async def test_a_pause_of_this_process_is_not_taken_for_a_silence_of_redis(
    replicas: Replicas, proxy: FaultProxy
) -> None:
    async with replicas(url=proxy.url) as (here, _):
        tail = await here.open(info())
        proxy.delay = 0.05
        under_way = asyncio.create_task(here.append(tail, 2, Delta("a")))
        await asyncio.sleep(0.02)
        time.sleep(2.5)  # noqa: ASYNC251 - the whole process is stopped
        assert await under_way is Appended.OK
        assert tail.shared


async def test_a_writer_that_is_cancelled_in_the_middle_leaves_no_gap(replicas: Replicas, proxy: FaultProxy) -> None:
    async with replicas(url=proxy.url) as (here, there):
        tail = await here.open(info())
        copy = await there.find(tail.info.id)
        proxy.delay = 0.05
        under_way = asyncio.create_task(here.append(tail, 2, Delta("a")))
        await asyncio.sleep(0.02)
        under_way.cancel()
        await finish(here, tail)
        await until(lambda: copy is not None and copy.ended)
        assert copy is not None
        assert copy.events == tail.events
        assert tail.events[1:] == [Delta("a"), DONE]


async def test_a_silent_redis_costs_one_second_once(replicas: Replicas, proxy: FaultProxy) -> None:
    async with replicas(url=proxy.url) as (here, there):
        told = Told()
        here.peers.listen(told)
        mine = [await here.open(info()) for _ in range(50)]
        theirs = await there.open(info())
        copy = await here.find(theirs.info.id)
        assert copy is not None
        follower = Woken()
        copy.followers.append(follower)
        proxy.hold()
        begun = time.monotonic()
        for seq in range(2, 12):
            for tail in mine:
                assert await here.append(tail, seq, Delta("a")) is Appended.OK
        fresh = await here.open(info())
        binding = Binding(fresh.info.id, digest("hello"))
        assert await here.keys.bind("local", "key", binding) == binding
        again = Binding(mine[0].info.id, digest("hello"))
        assert await here.keys.bind("local", "key", again) == binding
        with pytest.raises(StreamForgeError) as refused:
            await here.find(new_stream_id())
        assert (refused.value.code, refused.value.retry_after) == ("log_unavailable", 2)
        with pytest.raises(StreamForgeError, match="cannot be reached"):
            await here.seal(copy, CANCELLED)
        assert await here.peers.lost() == []
        for tail in (*mine, fresh):
            await finish(here, tail)
        assert 0.9 < time.monotonic() - begun < 2.5
        assert not any(tail.shared for tail in (*mine, fresh))
        assert all(len(tail.events) == 12 and tail.ended for tail in mine)
        assert await here.find(fresh.info.id) is fresh
        assert follower.cuts == 1

        proxy.release()
        await back(here)

        async def gone() -> bool:
            return all([await there.find(tail.info.id) is None for tail in mine])

        await until_it(gone)
        assert told.lost == []
        await there.append(theirs, 2, Delta("a"))
        found = await here.find(theirs.info.id)
        assert found is not None
        assert found.events == theirs.events


async def test_when_redis_is_back_nothing_is_taken_for_lost_before_its_producer_could_come_back(
    valkey: RedisServer, prefix: str
) -> None:
    lease = 2.5
    async with (
        fault_proxy(valkey.port) as way,
        shared_log(way.url, prefix=prefix, lease=lease) as here,
        shared_log(way.url, prefix=prefix, lease=lease) as there,
    ):
        quiet, loud = await here.open(info()), await here.open(info())
        await asyncio.sleep(lease)  # for so long nobody is taken for lost after the start either
        way.deaf = True
        assert await here.append(loud, 2, Delta("a")) is Appended.OK
        ends = time.monotonic() + 1.5 * lease
        while time.monotonic() < ends:
            assert await there.peers.lost() == []
            await asyncio.sleep(0.05)
        way.deaf = False
        ends = time.monotonic() + 2 * lease
        while time.monotonic() < ends:
            assert await there.peers.lost() == []
            await asyncio.sleep(0.05)
        assert (quiet.shared, loud.shared) == (True, False)
        assert await here.append(quiet, 2, Delta("a")) is Appended.OK
        assert await here.append(loud, 3, Delta("b")) is Appended.OK
        copy = await there.find(quiet.info.id)
        assert copy is not None
        assert copy.events == quiet.events
        assert await there.find(loud.info.id) is None


async def test_after_a_pause_a_process_does_not_take_its_own_streams_for_lost(valkey: RedisServer) -> None:
    lease = 0.3
    async with shared_log(valkey.url, lease=lease) as log:
        tail = await log.open(info())
        await asyncio.sleep(lease)
        time.sleep(2 * lease)  # noqa: ASYNC251 - the whole process is stopped
        lost, appended = await asyncio.gather(log.peers.lost(), log.append(tail, 2, Delta("a")))
        assert (lost, appended) == ([], Appended.OK)


async def test_a_stream_that_was_claimed_while_redis_was_out_of_reach_is_fenced(
    replicas: Replicas, proxy: FaultProxy
) -> None:
    async with replicas(0.6, url=proxy.url) as (here, there):
        told = Told()
        here.peers.listen(told)
        tail = await here.open(info())
        await here.append(tail, 2, Delta("a"))
        follower = Woken()
        tail.followers.append(follower)
        proxy.hold()
        assert await here.append(tail, 3, Delta("only here")) is Appended.OK
        tails: list[Tail] = []

        async def lost() -> bool:
            tails.extend(await there.peers.lost())
            return bool(tails)

        await until_it(lost)
        (theirs,) = tails
        assert theirs.events[:2] == tail.events[:2]
        await there.seal(theirs, LOST)
        await there.announce(theirs, LOST)
        proxy.release()
        await until(lambda: told.lost == [tail.info.id])
        assert await here.append(tail, 4, Delta("late")) is Appended.FENCED
        assert follower.cuts == 1
        truth = await here.find(tail.info.id)
        assert truth is not None
        assert truth.events == theirs.events


async def test_a_flushed_redis_turns_streams_local_and_new_ones_are_shared(own: RedisServer) -> None:
    prefix = f"test-{secrets.token_hex(8)}"
    async with (
        shared_log(own.url, prefix=prefix, lease=0.6) as here,
        shared_log(own.url, prefix=prefix, lease=0.6) as there,
    ):
        tail, silent = await here.open(info()), await here.open(info())
        await here.append(tail, 2, Delta("a"))
        _, follower = await followed(there, tail.info.id)
        own.say("FLUSHALL")
        assert await here.append(tail, 3, Delta("b")) is Appended.OK
        assert not tail.shared
        await until(lambda: not silent.shared)
        await until(lambda: follower.cuts == 1)
        assert await there.find(tail.info.id) is None
        await finish(here, tail)
        assert tail.events[1:] == [Delta("a"), Delta("b"), DONE]
        fresh = await here.open(info())
        assert fresh.shared
        assert await there.find(fresh.info.id) is not None


@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_a_redis_that_is_restarted_costs_no_event(own: RedisServer, end: str) -> None:
    prefix = f"test-{secrets.token_hex(8)}"
    async with shared_log(own.url, prefix=prefix) as here, shared_log(own.url, prefix=prefix) as there:
        tail = await here.open(info())
        _, follower = await followed(there, tail.info.id)
        await asyncio.to_thread(getattr(own, end))
        assert await here.append(tail, 2, Delta("a")) is Appended.OK
        assert not tail.shared
        local = await here.open(info())
        assert not local.shared
        await until(lambda: follower.cuts == 1)
        with pytest.raises(StreamForgeError, match="cannot be reached"):
            await there.find(tail.info.id)
        await asyncio.to_thread(own.start)
        await back(here)
        await back(there)
        assert await here.append(tail, 3, Delta("b")) is Appended.OK
        fresh = await here.open(info())
        seen = await there.find(fresh.info.id)
        assert seen is not None
        await here.append(fresh, 2, Delta("a"))
        await until(lambda: len(seen.events) == 2)
        await finish(here, tail)
        assert tail.events[1:] == [Delta("a"), Delta("b"), DONE]


async def test_a_redis_that_is_not_there_at_the_start_is_waited_for(own: RedisServer) -> None:
    own.kill()
    async with shared_log(own.url) as log:
        tail = await log.open(info())
        assert not tail.shared
        assert await log.append(tail, 2, Delta("a")) is Appended.OK
        await asyncio.to_thread(own.start)
        await back(log)


async def test_a_redis_that_forgot_our_scripts_is_taught_again(own: RedisServer) -> None:
    async with shared_log(own.url) as log:
        tail = await log.open(info())
        own.say("SCRIPT", "FLUSH")
        assert await log.append(tail, 2, Delta("a")) is Appended.OK
        assert tail.shared


async def test_a_full_redis_turns_a_stream_local(own: RedisServer) -> None:
    async with shared_log(own.url) as log:
        tail = await log.open(info())
        own.say("CONFIG", "SET", "maxmemory", "1")
        assert await log.append(tail, 2, Delta("a")) is Appended.OK
        assert not tail.shared
        await finish(log, tail)
        assert tail.events[1:] == [Delta("a"), DONE]
        own.say("CONFIG", "SET", "maxmemory", "0")
        await back(log)


CLAIM = 700
"""Bytes that an idempotency key takes; it is kept for its whole time, though its log is not."""


async def test_memory_stays_flat_in_a_long_outage(own: RedisServer) -> None:
    async with shared_log(own.url, size=0) as log:
        own.kill()

        async def spend(streams: int) -> None:
            for _ in range(streams):
                tail = await log.open(info())
                await log.keys.bind("local", tail.info.id, Binding(tail.info.id, digest("hello")))
                for seq in range(2, 12):
                    await log.append(tail, seq, Delta("x" * 100))
                await finish(log, tail)
                await log.expire()

        await spend(20)
        tracemalloc.start()
        try:
            await spend(20)
            before, _ = tracemalloc.get_traced_memory()
            await spend(500)
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert after - before < 30_000 + 500 * CLAIM


async def test_closing_during_an_outage_is_quick_and_leaves_nothing(own: RedisServer) -> None:
    before = asyncio.all_tasks()
    async with shared_log(own.url) as log:
        tail = await log.open(info())
        own.freeze()
        under_way = asyncio.create_task(log.append(tail, 2, Delta("a")))
        await asyncio.sleep(0.05)
        begun = time.monotonic()
    assert time.monotonic() - begun < 1
    assert await under_way is Appended.OK
    own.thaw()
    assert asyncio.all_tasks() == before
