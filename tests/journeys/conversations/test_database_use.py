"""F14: an answer that runs holds no connection to the database, so that more may run than there are connections."""

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.support.client import open_stream
from tests.support.postgres import Postgres
from tests.support.server import LiveServer, live_server, make_settings

MANY = 20
"""More than the connections that a process has."""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    """Of the database, unless it is a file."""
    return request.getfixturevalue("postgres_url") if request.param == "postgresql" else None


@pytest.fixture
def server(url: str | None) -> Iterator[LiveServer]:
    """With answers in sessions of their own, each of which has said its first word."""
    settings = make_settings(STREAM_DELAY=60, SIMULATED_TEXT="one two", DRAIN_TIMEOUT=0, DATABASE_URL=url)
    with live_server(settings) as started, ExitStack() as clients:
        for _ in range(MANY):
            clients.enter_context(open_stream(started.port, new_session=True)[0])
        assert started.supervisor.count == MANY
        yield started


def test_while_more_answers_run_than_there_are_connections_everything_else_is_served(server: LiveServer) -> None:
    with httpx.Client(base_url=server.url, timeout=4) as client:  # a turn would be waited for longer
        listed = client.get("/sessions").json()["items"]
        assert len(listed) == MANY
        assert client.patch(f"/sessions/{listed[0]['id']}", json={"title": "x"}).status_code == 200


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_no_transaction_is_under_way_while_answers_run(server: LiveServer, url: str, postgres: Postgres) -> None:
    database = url.rpartition("/")[2]
    where = f"datname = '{database}' AND state <> 'idle' AND pid <> pg_backend_pid()"
    assert postgres.execute(f"SELECT state, query FROM pg_stat_activity WHERE {where}") == []
