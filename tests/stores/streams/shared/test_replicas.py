"""What two processes see of one another's streams, when nothing is broken but perhaps one of them."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from domain.events import Delta, Failed
from domain.streams import digest
from stores.streams.base import Appended, Binding, Fenced
from tests.stores.streams.logs import CANCELLED, DONE, SPENT, Told, Woken, info, shared_log, until, until_it
from tests.stores.streams.shared.conftest import Replicas
from tests.support.server import ROOT
from tests.support.valkey import RedisServer

LEASE = 1.5  # a beat is a third of it: longer than a busy machine lets a process wait
LOST = Failed("producer_lost", SPENT)


async def test_another_replica_has_the_past_and_what_comes_up_to_the_end(replicas: Replicas) -> None:
    async with replicas() as (here, there):
        tail = await here.open(info())
        await here.append(tail, 2, Delta("a"))
        copy = await there.find(tail.info.id)
        assert copy is not None
        assert (copy.events, copy.info) == (tail.events, tail.info)
        assert (copy.produced_here, copy.shared) == (False, True)
        follower = Woken()
        copy.followers.append(follower)
        await here.append(tail, 3, Delta("b"))
        await here.seal(tail, DONE)
        await here.announce(tail, DONE)
        await until(lambda: copy.ended, seconds=1)  # before the read that went on at first would have come back
        assert copy.events == tail.events
        assert follower.times == 2
        assert (copy.outcome, copy.size) == (DONE, tail.size)
        assert await there.find(tail.info.id) is copy


async def test_a_reader_that_comes_at_any_moment_has_every_event_once(server: RedisServer, prefix: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        here = await stack.enter_async_context(shared_log(server.url, prefix=prefix))
        tail = await here.open(info())
        copies = []
        for seq in range(2, 12):
            await here.append(tail, seq, Delta(f"{seq} "))
            there = await stack.enter_async_context(shared_log(server.url, prefix=prefix))
            copy = await there.find(tail.info.id)
            assert copy is not None
            assert copy.events == tail.events
            copies.append(copy)
        await here.seal(tail, DONE)
        await here.announce(tail, DONE)
        await until(lambda: all(copy.ended for copy in copies))
        assert all(copy.events == tail.events for copy in copies)


async def test_a_seal_from_elsewhere_stops_the_producer_which_is_told(replicas: Replicas) -> None:
    async with replicas() as (here, there):
        told = Told()
        here.peers.listen(told)
        tail = await here.open(info())
        copy = await there.find(tail.info.id)
        assert copy is not None
        assert await there.seal(copy, CANCELLED) == CANCELLED
        await until(lambda: told.sealed == [tail.info.id], seconds=3)  # long before a third of the lease
        assert await here.append(tail, 2, Delta("late")) is Appended.CLOSED
        assert await here.seal(tail, DONE) == CANCELLED
        assert await there.seal(copy, DONE) == CANCELLED
        with pytest.raises(Fenced):
            await there.announce(copy, CANCELLED)
        await here.announce(tail, CANCELLED)
        await until(lambda: copy.ended)
        assert copy.events[1:] == tail.events[1:] == [CANCELLED]
        assert told.lost == []


async def test_a_seal_is_noticed_even_where_the_message_about_it_is_lost(
    replicas: Replicas, server: RedisServer, prefix: str
) -> None:
    async with replicas(LEASE) as (here, there):
        told = Told()
        here.peers.listen(told)
        tail = await here.open(info())
        copy = await there.find(tail.info.id)
        assert copy is not None
        server.say("HSET", f"{prefix}:{{{tail.info.id}}}:meta", "owner", "somebody-who-does-not-listen")
        await there.seal(copy, CANCELLED)
        await until(lambda: tail.info.id in told.sealed)


async def test_a_stream_whose_lease_is_held_can_only_be_claimed_by_force(replicas: Replicas) -> None:
    async with replicas() as (here, there):
        told = Told()
        here.peers.listen(told)
        tail = await here.open(info())
        await here.append(tail, 2, Delta("a"))
        copy = await there.find(tail.info.id)
        assert copy is not None
        assert not await there.peers.claim(copy)
        assert await there.peers.claim(copy, force=True)
        assert copy.produced_here
        assert copy.epoch == 2
        assert await here.append(tail, 3, Delta("late")) is Appended.FENCED
        with pytest.raises(Fenced):
            await here.seal(tail, DONE)
        with pytest.raises(Fenced):
            await here.announce(tail, DONE)
        assert told.lost == [tail.info.id]
        assert (tail.fenced, tail.produced_here) == (True, False)
        assert await there.seal(copy, LOST) == LOST
        await there.announce(copy, LOST)
        await until(lambda: tail.ended)
        assert tail.events == copy.events
        assert tail.events[1:] == [Delta("a"), LOST]


async def test_a_claim_is_told_to_a_producer_that_says_nothing(replicas: Replicas) -> None:
    async with replicas() as (here, there):
        told = Told()
        here.peers.listen(told)
        tail = await here.open(info())
        copy = await there.find(tail.info.id)
        assert copy is not None
        await there.peers.claim(copy, force=True)
        await until(lambda: told.lost == [tail.info.id], seconds=3)


async def test_what_has_ended_is_not_claimed(replicas: Replicas) -> None:
    async with replicas() as (here, there):
        tail = await here.open(info())
        copy = await there.find(tail.info.id)
        assert copy is not None
        await here.seal(tail, DONE)
        await here.announce(tail, DONE)
        assert not await there.peers.claim(copy, force=True)


@contextlib.contextmanager
def producer(server: RedisServer, prefix: str, lease: float) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.stores.streams.shared.producer", server.url, prefix, str(lease)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=10)
        assert process.stdout is not None
        process.stdout.close()


def say(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


async def test_a_killed_producers_stream_is_ended_by_another_with_all_that_was_acknowledged(
    server: RedisServer, prefix: str
) -> None:
    with producer(server, prefix, LEASE) as process:
        async with shared_log(server.url, prefix=prefix, lease=LEASE) as log:
            (stream_id,) = await asyncio.to_thread(say, process)
            acknowledged = [await asyncio.to_thread(say, process) for _ in range(20)]
            copy = await log.find(stream_id)
            assert copy is not None
            process.kill()
            tails = []

            async def lost() -> bool:
                tails.extend(await log.peers.lost())
                return bool(tails)

            await until_it(lost, seconds=LEASE + 5)
            assert tails == [copy]
            assert len(copy.events) >= int(acknowledged[-1][1])
            assert copy.events[1:3] == [Delta("word2 "), Delta("word3 ")]
            await log.seal(copy, LOST)
            await log.announce(copy, LOST)
            assert copy.events[-1] == LOST
            assert await log.peers.lost() == []


async def test_a_producer_that_was_paused_past_its_lease_finds_itself_fenced(server: RedisServer, prefix: str) -> None:
    with producer(server, prefix, LEASE) as process:
        async with shared_log(server.url, prefix=prefix, lease=LEASE) as log:
            (stream_id,) = await asyncio.to_thread(say, process)
            await asyncio.to_thread(say, process)
            process.send_signal(signal.SIGSTOP)
            tails = []

            async def lost() -> bool:
                tails.extend(await log.peers.lost())
                return bool(tails)

            await until_it(lost, seconds=LEASE + 5)
            (tail,) = tails
            assert tail.info.id == stream_id
            await asyncio.sleep(2.5)  # longer than any of its deadlines, which must not take Redis for gone
            process.send_signal(signal.SIGCONT)
            words: list[str] = []
            while words != ["fenced"]:
                words = await asyncio.to_thread(say, process)
                assert words, "the producer ended without being fenced"
                assert words == ["fenced"] or words[2] == "True", "it went on alone"
            assert await log.seal(tail, LOST) == LOST


async def test_streams_whose_producers_live_are_not_lost_however_long_they_are_silent(replicas: Replicas) -> None:
    async with replicas(LEASE) as (here, there):
        tail = await here.open(info())
        for _ in range(10):
            await asyncio.sleep(LEASE / 4)
            assert await there.peers.lost() == []
            assert await here.peers.lost() == []
        assert await here.append(tail, 2, Delta("a")) is Appended.OK


async def test_readers_of_another_replica_count_for_as_long_as_they_read(replicas: Replicas) -> None:
    async with replicas(LEASE) as (here, there):
        tail = await here.open(info())
        assert not await here.peers.read_elsewhere(tail.info.id)
        copy = await there.find(tail.info.id)
        assert copy is not None
        assert await here.peers.read_elsewhere(tail.info.id), "to have looked for it counts"
        copy.followers.append(Woken())
        for _ in range(8):
            await asyncio.sleep(LEASE / 4)
            assert await here.peers.read_elsewhere(tail.info.id)
        assert not await there.peers.read_elsewhere(tail.info.id)
        copy.followers.clear()

        async def unread() -> bool:
            return not await here.peers.read_elsewhere(tail.info.id)

        await until_it(unread)
        await there.peers.reading(copy)
        assert await here.peers.read_elsewhere(tail.info.id), "so does to ask for its state"


async def test_a_producer_is_told_when_the_last_reader_elsewhere_leaves(replicas: Replicas) -> None:
    async with replicas() as (here, there):
        told = Told()
        here.peers.listen(told)
        tail = await here.open(info())
        copy = await there.find(tail.info.id)
        assert copy is not None
        assert await here.peers.read_elsewhere(tail.info.id)
        await there.peers.left(copy)
        await until(lambda: told.unread == [tail.info.id], seconds=3)
        assert not await here.peers.read_elsewhere(tail.info.id), "long before the lease is over"


async def test_one_of_many_claims_of_a_key_wins_on_every_replica(replicas: Replicas) -> None:
    async with replicas() as logs:
        tails = [await log.open(info()) for log in logs for _ in range(10)]
        bindings = [Binding(tail.info.id, digest("hello")) for tail in tails]
        stood = await asyncio.gather(
            *(logs[number // 10].keys.bind("local", "key", binding) for number, binding in enumerate(bindings))
        )
        assert len(set(stood)) == 1
        assert stood[0] in bindings


async def test_hundreds_of_streams_are_followed_over_a_few_connections(replicas: Replicas, server: RedisServer) -> None:
    async with replicas() as (here, there):
        before = server.say("CLIENT", "LIST").count(b"cmd=xread")
        tails = [await here.open(info()) for _ in range(250)]
        copies = [await there.find(tail.info.id) for tail in tails]
        for tail in tails:
            await here.append(tail, 2, Delta("a"))
        for tail in tails:
            await here.seal(tail, DONE)
            await here.announce(tail, DONE)
        await until(lambda: all(copy is not None and copy.ended for copy in copies))
        assert [copy and copy.events for copy in copies] == [tail.events for tail in tails]
        assert server.say("CLIENT", "LIST").count(b"cmd=xread") - before <= 3


async def test_a_tail_that_nobody_follows_is_let_go_and_found_again(replicas: Replicas) -> None:
    async with replicas(LEASE) as (here, there):
        tail = await here.open(info())
        copy = await there.find(tail.info.id)
        assert copy is not None
        await asyncio.sleep(LEASE * 3)
        await here.append(tail, 2, Delta("a"))
        again = await there.find(tail.info.id)
        assert again is not copy
        assert again is not None
        assert again.events == tail.events


async def test_all_replicas_together_keep_no_more_than_the_bytes_allowed(replicas: Replicas) -> None:
    async with replicas(size=250_000) as logs:
        tails = []
        for number in range(4):
            log = logs[number % 2]
            tail = await log.open(info())
            await log.append(tail, 2, Delta("x" * 100_000))
            await log.seal(tail, DONE)
            await log.announce(tail, DONE)
            tails.append(tail)
        await logs[0].expire()
        assert await logs[1].find(tails[0].info.id) is None
        assert await logs[0].find(tails[3].info.id) is not None


async def test_a_log_that_is_closed_leaves_no_task_behind(replicas: Replicas) -> None:
    before = asyncio.all_tasks()
    async with replicas() as (here, there):
        tail = await here.open(info())
        await there.find(tail.info.id)
    assert asyncio.all_tasks() == before
