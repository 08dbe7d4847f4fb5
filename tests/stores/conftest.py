"""The servers that tests of stores need: one of each kind for all of them."""

from collections.abc import Iterator

import pytest

from tests.conftest import missing
from tests.stores.logs import Kind
from tests.support.valkey import RedisServer, binary, redis_server


@pytest.fixture(scope="session")
def valkey() -> Iterator[RedisServer]:
    """A Valkey that all tests share; who harms it takes one of his own."""
    with redis_server("valkey") as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """A Redis that all tests share."""
    if binary("redis") is None:
        missing("redis-server")
    with redis_server("redis") as server:
        yield server


@pytest.fixture(params=["memory", "valkey", "redis"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of stream log in turn."""
    name: str = request.param
    return Kind(None if name == "memory" else request.getfixturevalue(name))
