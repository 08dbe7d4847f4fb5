"""A replica dies or is stopped with streams in it: the others end them, and say so, and what it says later is void.

Shows F17 and F23.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.stores.streams.logs import until
from tests.support.history import History, Reader, history
from tests.support.postgres import Postgres
from tests.support.replicas import Replica, Replicas, replicas
from tests.support.server import wait_for
from tests.support.valkey import RedisServer

LEASE = 2.0
# From the death to the end: the lease, two seconds between looks, and a busy machine.
SOON = LEASE + 2 + 8
WORDS = " ".join(f"word{number}" for number in range(2_000))
ENDLESS: dict[str, Any] = {"SIMULATED_TEXT": WORDS, "STREAM_DELAY": 0.02}


@pytest.fixture(scope="module")
def some(postgres: Postgres, valkey: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """One that stays; each test starts its victims."""
    settings: dict[str, Any] = {"STREAM_LEASE": LEASE, **ENDLESS}
    with (
        postgres.database() as database,
        replicas(tmp_path_factory.mktemp("lost"), valkey, database=database, **settings) as made,
    ):
        made.start()
        yield made
        made.leave()


@pytest.fixture
def witness(some: Replicas) -> Replica:
    return some.all[0]


@pytest.fixture
def victim(some: Replicas) -> Replica:
    return some.one()


@pytest.fixture
async def told(some: Replicas, witness: Replica) -> AsyncIterator[History]:
    async with history() as record:
        yield record
        await record.check(witness.url, some.live)


async def lost(reader: Reader, seconds: float = SOON) -> None:
    """It is told that the producer is gone, with all the words that anybody had."""
    had = reader.text
    end = await reader.end(seconds)
    assert (end.event, end.data["code"], end.data["retryable"]) == ("error", "producer_lost", True)
    assert reader.text.startswith(had)


async def test_after_a_kill_readers_elsewhere_have_every_word_and_then_the_truth(
    told: History, victim: Replica, witness: Replica
) -> None:
    there = (witness.url,)
    talking = await told.post(victim.url, "x", new_session=True, also=there)
    stateless = await told.post(victim.url, "x", also=there)
    keyed = await told.post(victim.url, "x", key="of the dead", new_session=True, also=there)
    elsewhere = await told.follow(witness.url, talking.stream_id)
    for reader in (talking, stateless, keyed, elsewhere):
        await reader.heard(10)
    victim.kill()
    for reader in (talking, stateless, keyed, elsewhere):
        await lost(reader)
    assert elsewhere.seen == talking.seen
    kept = await told.answer(witness.url, talking)
    assert (kept["state"], kept["code"], kept["text"]) == ("interrupted", "producer_lost", elsewhere.text)
    again = await told.post(witness.url, "x", key="of the dead", new_session=True)
    assert again.stream_id == keyed.stream_id, "it had begun to answer: the key keeps what it said"
    assert (await again.end()).data["code"] == "producer_lost"
    on = await told.post(witness.url, "y", session_id=talking.session_id)
    await on.heard(3)
    await told.cancel(witness.url, on.stream_id)


async def test_a_producer_that_was_paused_past_its_lease_saves_nothing_and_its_readers_learn_the_truth(
    told: History, victim: Replica, witness: Replica
) -> None:
    here = [await told.post(victim.url, "x", new_session=True), await told.post(victim.url, "x")]
    there = [await told.follow(witness.url, reader.stream_id) for reader in here]
    for reader in (*here, *there):
        await reader.heard(10)
    victim.freeze()
    for reader in there:
        await lost(reader)
    kept = await told.answer(witness.url, here[0])
    victim.thaw()
    for before, after in zip(there, here, strict=True):
        assert await after.end() == before.seen[-1]
        assert after.seen == before.seen
        await until(lambda: len(victim.told("a stream was taken over by another process")) == 2)
        assert await told.state(victim.url, before.stream_id) == await told.state(witness.url, before.stream_id)
    assert await told.answer(victim.url, here[0]) == kept
    assert victim.told("stream ended") == [], "it gives no account of what another has ended"
    fresh = await told.post(victim.url, "x", session_id=here[0].session_id)
    await fresh.heard(3)
    assert (await told.state(witness.url, fresh.stream_id))["state"] == "running"
    await told.cancel(witness.url, fresh.stream_id)
    assert (await fresh.end()).data["reason"] == "requested"


async def test_a_frozen_producers_stream_can_be_stopped_and_its_session_goes_on(
    told: History, victim: Replica, witness: Replica
) -> None:
    asked = await told.post(victim.url, "x", new_session=True)
    elsewhere = await told.follow(witness.url, asked.stream_id)
    await elsewhere.heard(5)
    victim.freeze()
    answer = await told.cancel(witness.url, asked.stream_id)
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
    end = await elsewhere.end()
    assert (end.event, end.data["reason"]) == ("cancelled", "requested")
    kept = await told.answer(witness.url, asked)
    assert (kept["state"], kept["text"]) == ("cancelled", elsewhere.text)
    on = await told.post(witness.url, "y", session_id=asked.session_id)
    await on.heard(2)
    victim.thaw()
    assert await asked.end() == end
    assert await told.answer(victim.url, asked) == kept
    await told.cancel(victim.url, on.stream_id)


async def test_a_dead_producers_stream_can_be_stopped_before_anybody_has_missed_it(
    told: History, victim: Replica, witness: Replica
) -> None:
    asked = await told.post(victim.url, "x", new_session=True, also=(witness.url,))
    elsewhere = await told.follow(witness.url, asked.stream_id)
    await elsewhere.heard(5)
    victim.kill()
    answer = await told.cancel(witness.url, asked.stream_id)
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
    for reader in (asked, elsewhere):
        assert (await reader.end(SOON)).data["reason"] == "requested"


async def test_a_session_whose_producer_is_dead_is_free_for_who_replaces_it(
    told: History, victim: Replica, witness: Replica
) -> None:
    asked = await told.post(victim.url, "x", new_session=True, also=(witness.url,))
    await asked.heard(5)
    victim.kill()
    refused = await told.post(witness.url, "y", session_id=asked.session_id)
    assert (refused.first.status, refused.code) == (409, "session_busy")
    on = await told.post(witness.url, "y", session_id=asked.session_id, on_busy="cancel_previous")
    assert on.first.status == 200, on.first.problem
    assert (await asked.end(SOON)).data["reason"] == "replaced"
    await told.cancel(witness.url, on.stream_id)


def test_what_nobody_reads_is_ended_as_well(some: Replicas, victim: Replica) -> None:
    with httpx.stream("POST", f"{victim.url}/chat", json={"message": "x", "new_session": True}) as response:
        session_id = response.headers["x-session-id"]
        next(response.iter_raw())
    victim.kill()
    witness = some.all[0]

    def state() -> str:
        items = httpx.get(f"{witness.url}/chat/history/{session_id}").json()["items"]
        return str(items[-1]["state"])

    wait_for(lambda: state() == "interrupted", SOON)


@pytest.mark.clock
async def test_with_the_settings_as_shipped_it_takes_less_than_twenty_seconds(
    valkey: RedisServer, folder: Path
) -> None:
    with replicas(folder, valkey, **ENDLESS) as shipped:
        victim, witness = shipped.start(2)
        async with history() as record:
            asked = await record.post(victim.url, "x", new_session=True, also=(witness.url,))
            elsewhere = await record.follow(witness.url, asked.stream_id)
            await elsewhere.heard(5)
            victim.kill()
            await lost(elsewhere, 20)
            await lost(asked, 20)
            await record.check(witness.url, shipped.live)
        shipped.leave()
