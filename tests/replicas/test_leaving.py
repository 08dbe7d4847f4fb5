"""Who reads a stream may read it anywhere: a stream is unread when it is so on every replica."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stores.streams.logs import until, until_it
from tests.support.history import History, history
from tests.support.replicas import Replica, Replicas, replicas
from tests.support.valkey import RedisServer

Ends = Callable[..., Awaitable[None]]

ORPHAN = 2.0
ENDLESS: dict[str, Any] = {"SIMULATED_TEXT": " ".join(f"word{number}" for number in range(5_000)), "STREAM_DELAY": 0.02}


@pytest.fixture(scope="module")
def both(valkey: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    settings: dict[str, Any] = {"STREAM_ORPHAN_TIMEOUT": ORPHAN, **ENDLESS}  # and the lease as shipped, which is longer
    with replicas(tmp_path_factory.mktemp("leaving"), valkey, **settings) as made:
        made.start(2)
        yield made
        made.leave()


@pytest.fixture
async def told(both: Replicas) -> AsyncIterator[History]:
    async with history() as record:
        yield record
        for replica in both.all:
            await record.check(replica.url, both.live)


@pytest.fixture
def here(both: Replicas) -> Replica:
    return both.all[0]


@pytest.fixture
def there(both: Replicas) -> Replica:
    return both.all[1]


@pytest.fixture
def ends(both: Replicas, told: History) -> Ends:
    async def end(stream_id: str, reason: str, seconds: float = 10, left: int = 0) -> None:
        """It is cancelled for that reason, leaving so many streams alive. To ask for it would be to read it."""
        await until(lambda: both.live() == left, seconds)
        for replica in both.all:
            state = await told.state(replica.url, stream_id)
            assert (state["state"], state["reason"]) == ("cancelled", reason)

    return end


@pytest.mark.parametrize("place", [{}, {"new_session": True}], ids=["alone", "in a session"])
@pytest.mark.parametrize("first", ["the producer's", "the other's"])
async def test_the_last_reader_to_leave_takes_the_stream_along_wherever_it_was(
    told: History, ends: Ends, here: Replica, there: Replica, first: str, place: dict[str, Any]
) -> None:
    asked = await told.post(here.url, "x", on_disconnect="cancel", **place)
    other = await told.follow(there.url, asked.stream_id)
    readers = [asked, other] if first == "the producer's" else [other, asked]
    for reader in readers:
        await reader.heard(3)
    await readers[0].leave()
    had = readers[1].cursor
    await readers[1].heard(had + 20)  # one is enough
    assert not readers[1].ended
    await readers[1].leave()
    await ends(asked.stream_id, "disconnected")


async def test_who_moves_to_another_replica_in_time_keeps_the_stream(
    told: History, ends: Ends, here: Replica, there: Replica
) -> None:
    asked = await told.post(here.url, "x", on_disconnect="cancel")
    await asked.heard(3)
    other = await told.follow(there.url, asked.stream_id, after=asked.cursor)
    await asked.leave()
    await other.heard(30)
    back = await told.follow(here.url, asked.stream_id, after=other.cursor)
    await other.leave()
    await back.heard(30)
    await back.leave()
    await ends(asked.stream_id, "disconnected")


async def test_a_stream_that_is_read_elsewhere_alone_is_no_orphan_until_that_reader_leaves(
    told: History, ends: Ends, here: Replica, there: Replica
) -> None:
    asked = await told.post(here.url, "x")
    other = await told.follow(there.url, asked.stream_id)
    await asked.heard(1)
    await asked.leave()
    await other.heard(round(2.5 * ORPHAN / 0.02))
    assert not other.ended
    await other.leave()
    await ends(asked.stream_id, "orphaned", ORPHAN + 10)


async def test_who_polls_on_another_replica_keeps_a_stream_as_well(
    told: History, ends: Ends, here: Replica, there: Replica
) -> None:
    asked = await told.post(here.url, "x")
    await asked.heard(1)
    await asked.leave()

    async def went_on() -> bool:
        state = await told.state(there.url, asked.stream_id)
        assert state["state"] == "running"
        return bool(state["last_seq"] > 2.5 * ORPHAN / 0.02)

    await until_it(went_on, 30)
    await told.cancel(there.url, asked.stream_id)


async def test_an_answer_in_a_session_is_nobodys_orphan(
    told: History, ends: Ends, here: Replica, there: Replica
) -> None:
    asked = await told.post(here.url, "x", new_session=True)
    control = await told.post(here.url, "x")
    for reader in (asked, control):
        await reader.heard(1)
        await reader.leave()
    await ends(control.stream_id, "orphaned", ORPHAN + 10, left=1)
    answer = await told.ask("GET", f"{there.url}/chat/history/{asked.session_id}")
    assert answer.json()["items"][-1]["state"] == "running"
    await told.cancel(there.url, asked.stream_id)
    assert (await told.answer(here.url, asked))["state"] == "cancelled"


async def test_a_reader_that_dies_with_its_replica_takes_the_stream_along_as_well(
    valkey: RedisServer, folder: Path
) -> None:
    settings: dict[str, Any] = {"STREAM_LEASE": 1, "STREAM_ORPHAN_TIMEOUT": 1, **ENDLESS}
    with replicas(folder, valkey, **settings) as own:
        here, victim = own.start(2)
        async with history() as record:
            asked = await record.post(here.url, "x", on_disconnect="cancel", new_session=True)
            other = await record.follow(victim.url, asked.stream_id)
            await other.heard(3)
            await asked.leave()
            victim.kill()
            await until(lambda: own.live() == 0, 15)
            assert (await record.answer(here.url, asked))["code"] == "orphaned"
            await other.leave()
        own.leave()
