"""F11, F12: Redis restarts, is killed, emptied or silent. Truth is in SQL; who produces goes on, and nobody waits."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.stores.streams.logs import until, until_it
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.history import History, history
from tests.support.replicas import Replica, Replicas, replicas
from tests.support.valkey import RedisServer, redis_server

pytestmark = pytest.mark.clock

WORDS = 100
TEXT = " ".join(f"word{number}" for number in range(WORDS))
SETTINGS: dict[str, Any] = {
    "AUTH_MODE": "api_key", "STREAM_LEASE": 2, "SIMULATED_TEXT": TEXT, "STREAM_DELAY": 0.02,
}  # fmt: skip
# What Redis may cost once: a second until it is taken to be away, on a busy machine. And afterwards.
BREAKER = 2.5
QUICK = 0.5


@pytest.fixture(scope="module")
def own() -> Iterator[RedisServer]:
    """A Valkey that is harmed."""
    with redis_server("valkey") as server:
        yield server


@pytest.fixture(scope="module")
def both(own: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    with replicas(tmp_path_factory.mktemp("away"), own, **SETTINGS) as made:
        made.start(2)
        yield made
        made.leave()


@pytest.fixture
async def told(both: Replicas) -> AsyncIterator[History]:
    async with history(both.owners) as record:
        await wait_for_redis(record, both.all)
        yield record
        await record.check(both.all[0].url)


async def wait_for_redis(record: History, servers: list[Replica]) -> None:
    """Returns when each can read what the other one writes."""
    for here, there in (servers, servers[::-1]):

        async def shared(here: Replica = here, there: Replica = there) -> bool:
            asked = await record.post(here.url, "are you there?", owner="alice")
            state = await record.state(there.url, asked.stream_id, owner="alice")
            await record.cancel(here.url, asked.stream_id, owner="alice")
            await asked.end()
            return "stream_id" in state

        await until_it(shared, 20)


def restart(server: RedisServer) -> None:
    server.stop()
    server.start()


def kill_and_start(server: RedisServer) -> None:
    server.kill()
    server.start()


def flush(server: RedisServer) -> None:
    server.say("FLUSHALL")


@pytest.mark.parametrize("harm", [restart, kill_and_start, flush])
async def test_streams_go_on_where_they_are_produced_and_are_stored(
    both: Replicas, own: RedisServer, told: History, harm: Callable[[RedisServer], None]
) -> None:
    here, there = both.all
    asked = await told.post(here.url, "x", owner="alice", new_session=True)
    alone = await told.post(here.url, "x", owner="bob")
    other = await told.follow(there.url, asked.stream_id, owner="alice")
    for reader in (asked, alone, other):
        await reader.heard(10)
    await asyncio.to_thread(harm, own)
    for reader in (asked, alone):
        assert (await reader.end()).event == "done"
        assert len(reader.bodies) == 1
        assert reader.text == TEXT
    state = await told.state(here.url, asked.stream_id, owner="alice")
    assert (state["state"], state["resumable_elsewhere"]) == ("completed", False)
    kept = await told.answer(there.url, asked, owner="alice")
    assert (kept["state"], kept["text"]) == ("complete", TEXT)
    await until(lambda: other.task is not None and other.task.done(), 20)
    assert not other.ended, "it was cut, for it could not be read there to its end"
    assert TEXT.startswith(other.text)
    await wait_for_redis(told, both.all)  # and what is new is shared again


async def test_while_redis_is_away_everything_goes_on_but_what_others_produce(
    both: Replicas, own: RedisServer, told: History
) -> None:
    here, there = both.all
    before = await told.post(here.url, "x", owner="alice", new_session=True)
    await before.heard(5)
    own.kill()
    try:
        new = [await told.post(here.url, "y", owner="bob", new_session=True, key="k") for _ in range(2)]
        assert new[0].stream_id == new[1].stream_id, "it knows its own keys"
        other = await told.post(there.url, "y", owner="bob", new_session=True, key="k")
        assert (other.first.status, other.code) == (503, "log_unavailable"), "the database knows that it is answered"
        new.append(await told.post(there.url, "y", owner="bob", new_session=True))
        path = f"{there.url}/chat/streams/{before.stream_id}"
        for method, end in (("GET", ""), ("POST", "/cancel")):
            begun = time.monotonic()
            away = await told.ask(method, f"{path}{end}", owner="alice")
            assert (away.status_code, away.json()["code"]) == (503, "log_unavailable")
            assert int(away.headers["retry-after"]) > 0
            assert time.monotonic() - begun < BREAKER
        await told.messages(there.url, before.session_id, owner="alice")
        refused = await told.ask("GET", f"{there.url}/sessions")
        assert refused.status_code == 401
        assert (await told.cancel(here.url, before.stream_id, owner="alice")).json()["state"] == "cancelled"
        assert (await before.end()).event == "cancelled"
        for reader in new:
            assert (await reader.end()).event == "done"
    finally:
        own.start()
    assert (await told.answer(there.url, before, owner="alice"))["state"] == "cancelled"


@pytest.fixture
def shared(valkey: RedisServer, folder: Path) -> Iterator[Replicas]:
    """None yet, on the Valkey that is there for all."""
    with replicas(folder, valkey, **SETTINGS) as made:
        yield made


@asynccontextmanager
async def behind(shared: Replicas, through: int, **settings: Any) -> AsyncIterator[tuple[FaultProxy, History]]:
    """Two replicas, of which the first `through` reach Redis by way of a proxy."""
    async with fault_proxy(shared.valkey.port) as proxy, history(shared.owners) as record:
        for number in range(2):
            url = proxy.url if number < through else shared.valkey.url
            await asyncio.to_thread(shared.start, REDIS_URL=url, **settings)
        yield proxy, record
        await record.check(shared.all[1].url)
        await asyncio.to_thread(shared.leave)


async def timed(what: Any) -> float:
    begun = time.monotonic()
    await what
    return time.monotonic() - begun


async def test_a_redis_that_says_nothing_costs_one_wait_and_no_memory(shared: Replicas) -> None:
    async with behind(shared, 2) as (proxy, told):
        here, there = shared.all
        old = await told.post(here.url, "warm", owner="alice", new_session=True)
        await old.end()
        asked = await told.post(here.url, "x", owner="alice", new_session=True)
        other = await told.follow(there.url, asked.stream_id, owner="alice")
        await other.heard(10)
        proxy.hold()
        assert await timed(told.messages(here.url, old.session_id, owner="alice")) < QUICK
        assert await timed(told.post(there.url, "y", owner="bob")) < BREAKER
        for _ in range(5):
            for url in (here.url, there.url):
                assert await timed(told.post(url, "y", owner="bob", new_session=True)) < QUICK
                assert await timed(told.messages(url, old.session_id, owner="alice")) < QUICK
        assert (await asked.end()).event == "done"
        gaps = [after.at - before.at for before, after in zip(asked.seen, asked.seen[1:], strict=False)]
        assert max(gaps) < BREAKER
        await until(lambda: all(replica.told("redis is away") for replica in shared.all), 10)
        assert (await told.answer(there.url, asked, owner="alice"))["text"] == TEXT

        async def burst() -> int:
            for _ in range(30):
                gone = await told.ask("GET", f"{there.url}/chat/streams/{asked.stream_id}", owner="alice")
                assert gone.status_code == 503
            return int(psutil.Process(there.process.popen.pid).memory_info().rss)

        first = await burst()
        for _ in range(5):
            last = await burst()
        assert last - first < 4 * 2**20
        assert len(there.told("redis is away")) == 1
        proxy.release()
        await wait_for_redis(told, shared.all)


async def test_a_producer_that_alone_has_lost_redis_learns_that_its_streams_were_ended(
    shared: Replicas,
) -> None:
    async with behind(shared, 1, STREAM_DELAY=0.1) as (proxy, told):
        here, there = shared.all
        asked = await told.post(here.url, "x", owner="alice", new_session=True, also=(there.url,))
        other = await told.follow(there.url, asked.stream_id, owner="alice")
        await other.heard(5)
        proxy.hold()
        end = await other.end(20)
        assert end.data["code"] == "producer_lost"
        kept = await told.answer(there.url, asked, owner="alice")
        assert (kept["state"], kept["text"]) == ("interrupted", other.text)
        had = asked.cursor
        assert had > other.cursor, "where it is produced it went on"
        proxy.release()
        await until(lambda: asked.task is not None and asked.task.done(), 20)
        assert asked.bodies[0].end == "cut", "what it was told is not what the others know"
        assert asked.bodies[-1].problem["code"] == "cursor_ahead"
        assert await told.answer(here.url, asked, owner="alice") == kept
        told.readers.remove(asked)  # it saw words that nobody else did, and was told no end
        assert (await told.state(here.url, asked.stream_id, owner="alice"))["error"]["code"] == "producer_lost"


async def test_an_answer_that_was_given_up_meanwhile_is_not_called_complete(shared: Replicas) -> None:
    async with behind(shared, 1, STREAM_DELAY=0.08) as (proxy, told):
        here, there = shared.all
        asked = await told.post(here.url, "x", owner="alice", new_session=True)
        await asked.heard(5)
        proxy.hold()
        end = await asked.end()
        kept = await told.answer(there.url, asked, owner="alice")
        assert kept["code"] == "producer_lost"
        assert end.event == "error"
        assert end.data["code"] == "producer_lost"
        told.readers.remove(asked)  # the words that it saw went no further
        proxy.release()
        await wait_for_redis(told, shared.all)
