"""Two replicas on one server."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from stores.streams.shared.log import RedisStreamLog
from tests.stores.streams.logs import shared_log
from tests.support.valkey import RedisServer

Replicas = Callable[..., AbstractAsyncContextManager[tuple[RedisStreamLog, RedisStreamLog]]]


@pytest.fixture(params=["valkey", "redis"])
def server(request: pytest.FixtureRequest) -> RedisServer:
    """Each kind of server in turn."""
    found: RedisServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def prefix() -> str:
    """Where this test's keys are."""
    return f"test-{secrets.token_hex(8)}"


@pytest.fixture
def replicas(server: RedisServer, prefix: str) -> Replicas:
    """Open two logs on one server; the first may take another way there."""

    @asynccontextmanager
    async def both(
        lease: float = 15, url: str | None = None, size: int = 2**26
    ) -> AsyncIterator[tuple[RedisStreamLog, RedisStreamLog]]:
        async with (
            shared_log(url or server.url, prefix=prefix, lease=lease, size=size) as first,
            shared_log(server.url, prefix=prefix, lease=lease, size=size) as second,
        ):
            yield first, second

    return both
