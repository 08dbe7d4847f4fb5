"""Two replicas that a whole module may use, on each kind of database, and a record of what clients saw of them."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.history import History, history
from tests.support.replicas import Replica, Replicas, replicas
from tests.support.stage import Stage, stage
from tests.support.valkey import RedisServer

COMMIT_DELAY = 5.0


def pytest_itemcollected(item: pytest.Item) -> None:
    """Those that use the same pair stay together: it is made once."""
    if isinstance(item, pytest.Function) and "pair" in item.fixturenames:
        item.add_marker(pytest.mark.xdist_group(f"pair on {item.callspec.params['pair']}"))


@dataclass(frozen=True)
class Pair:
    """Two replicas with a scripted model, whose callers have keys."""

    replicas: Replicas
    here: Replica
    there: Replica
    stage: Stage


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def pair(
    request: pytest.FixtureRequest, valkey: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """Two that nobody harms, on each kind of database."""
    folder = tmp_path_factory.mktemp("pair")
    with ExitStack() as stack:
        database = None
        if request.param == "postgresql":
            database = stack.enter_context(request.getfixturevalue("postgres").database())
        model = stack.enter_context(stage())
        settings = {"AUTH_MODE": "api_key", "STREAM_COMMIT_DELAY": COMMIT_DELAY}
        both = stack.enter_context(replicas(folder, valkey, stage=model, database=database, **settings))
        here, there = both.start(2)
        yield Pair(both, here, there, model)
        both.leave()


@pytest.fixture
async def told(pair: Pair) -> AsyncIterator[History]:
    """The record of one test, held against the invariants at its end, on both replicas."""
    async with history(pair.replicas.owners, pair.stage) as record:
        yield record
        for replica in (pair.here, pair.there):
            await record.check(replica.url, pair.replicas.live)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a test's own replicas keep what they keep."""
    return tmp_path
