"""Fixtures that every test may use."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from blockbuster import blockbuster_ctx

from config.logging import configure_logging
from stores.sql.engine.schema import migrate
from tests.support import cost, effort, lanes
from tests.support.packages import PROGRAM
from tests.support.postgres import Postgres, postgres_server
from tests.support.server import LiveServer, fresh_folder, live_server, make_settings
from tests.support.valkey import RedisServer, binary, redis_server

configure_logging("ERROR")

# Every `httpx.get()` makes a TLS context, and would read all the world's certificates for it: most of the processor's
# time that the tests took. They talk to nobody outside; of a folder only those are read that a handshake asks for.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = str(fresh_folder())


def pytest_configure(config: pytest.Config) -> None:
    cost.register(config)
    lanes.register(config)
    effort.choose_profile()


@pytest.fixture(scope="session", autouse=True)
def nothing_blocks() -> Iterator[None]:
    """Fail whatever waits inside an event loop for anything but the loop, in any server of this process.

    It stays in force from the first test to the last: to set it up takes as long as many a test.
    """
    with blockbuster_ctx(scanned_modules=["main", "serving", *PROGRAM]) as guard:
        guard.functions["os.write"].can_block_in("config/log_writer.py", "write")  # has asked before
        for function in guard.functions.values():
            function.can_block_in("stores/sql/engine/schema.py", "_upgrade")  # in a loop of its own, in a thread
            function.can_block_in("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args")  # looks for ~/.pgpass
        yield


@pytest.fixture
def serve() -> Iterator[Callable[..., LiveServer]]:
    """Start a server with these settings; it stops with the test. Words come without delay unless asked."""
    with ExitStack() as stack:

        def start(**settings: Any) -> LiveServer:
            return stack.enter_context(live_server(make_settings(**{"STREAM_DELAY": 0, **settings})))

        yield start


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The tests' PostgreSQL, started when the first test wants it."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> Iterator[str]:
    """The name of a database that is up to date and holds nothing, to copy from."""
    with postgres.database() as url:
        migrate(url)
        yield url.rpartition("/")[2]


@pytest.fixture
def postgres_url(postgres: Postgres, migrated: str) -> Iterator[str]:
    """A database of PostgreSQL that is up to date."""
    with postgres.database(migrated) as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind that is up to date, or becomes it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'data' / 'streamforge.db'}"
    return str(request.getfixturevalue("postgres_url"))


def missing(what: str) -> None:
    """A part that is not on this machine: skip here, fail in CI, where `.ci/run` has installed it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and CI installs it")
    pytest.skip(f"{what} is missing")


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


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A port of loopback that nobody listens on at this moment."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    return find
