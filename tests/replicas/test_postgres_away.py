"""F13: PostgreSQL is killed and comes back, or stays away. What was accepted is stored, or said not to be."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.history import History, history
from tests.support.postgres import Postgres, postgres_server
from tests.support.replicas import Replica, Replicas, replicas
from tests.support.valkey import RedisServer

TEXT = " ".join(f"word{number}" for number in range(40))
SETTINGS: dict[str, Any] = {"SIMULATED_TEXT": TEXT, "STREAM_DELAY": 0.03}


@pytest.fixture(scope="module")
def own() -> Iterator[Postgres]:
    """A PostgreSQL that is harmed."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def both(own: Postgres, valkey: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    with (
        own.database() as database,
        replicas(tmp_path_factory.mktemp("away"), valkey, database=database, **SETTINGS) as made,
    ):
        made.start(2)
        yield made
        made.leave(allowed=("an answer could not be stored",))


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


async def test_a_restart_costs_no_answer_and_no_request(
    own: Postgres, told: History, here: Replica, there: Replica
) -> None:
    readers = [await told.post(url, "x", new_session=True) for url in (here.url, there.url) for _ in range(3)]
    for reader in readers:
        await reader.heard(3)
    await asyncio.to_thread(own.stop)
    await asyncio.to_thread(own.start)
    listed = await asyncio.gather(*(told.ask("GET", f"{url}/sessions") for url in (here.url, there.url) * 5))
    assert {answer.status_code for answer in listed} == {200}
    on = await told.post(here.url, "y", new_session=True)
    for reader in (*readers, on):
        assert (await reader.end()).event == "done"
        assert (await told.answer(there.url, reader))["text"] == TEXT


async def test_an_answer_that_ends_while_the_database_is_away_waits_for_it(
    own: Postgres, told: History, here: Replica, there: Replica
) -> None:
    asked = await told.post(here.url, "x", new_session=True)
    other = await told.follow(there.url, asked.stream_id)
    await asked.heard(3)
    await asyncio.to_thread(own.stop)
    try:
        await asked.heard(40)
        for replica in (here, there):
            state = await told.state(replica.url, asked.stream_id)
            assert state["state"] == "running", "it is not complete before it is stored"
        assert not asked.ended
    finally:
        await asyncio.to_thread(own.start)
    for reader in (asked, other):
        assert (await reader.end()).event == "done"
    assert (await told.answer(there.url, asked))["text"] == TEXT


async def test_a_database_that_stays_away_is_told_and_nothing_else_stops(
    own: Postgres, told: History, here: Replica, there: Replica
) -> None:
    asked = await told.post(here.url, "x", new_session=True)
    other = await told.follow(there.url, asked.stream_id)
    await asked.heard(3)
    await asyncio.to_thread(own.stop)
    try:
        away = [
            await told.ask("GET", f"{there.url}/sessions"),
            await told.ask("POST", f"{there.url}/sessions", json={}),
            await told.ask("GET", f"{here.url}/chat/history/{asked.session_id}"),
            await told.ask("POST", f"{here.url}/chat", json={"message": "y", "new_session": True}),
            await told.ask("POST", f"{here.url}/chat", json={"message": "y", "session_id": asked.session_id}),
        ]
        for answer in away:
            assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable"), answer.text
            assert int(answer.headers["retry-after"]) > 0
        assert (await told.ask("GET", f"{here.url}/ready")).status_code == 200, "what needs no database goes on"
        stateless = await told.post(here.url, "x")
        assert (await stateless.end()).event == "done"
        begun = time.monotonic()
        for reader in (asked, other):
            end = await reader.end()
            assert (end.event, end.data["code"], end.data["retryable"]) == ("error", "not_saved", True)
        assert time.monotonic() - begun < 20
    finally:
        await asyncio.to_thread(own.start)
    on = await told.post(there.url, "y", session_id=asked.session_id)
    assert on.first.status == 200, "the session is free again"
    assert (await on.end()).event == "done"
    kept = await told.answer(there.url, asked)
    assert (kept["state"], kept["code"], kept["text"]) == ("interrupted", "not_saved", TEXT)
