"""A session that is deleted on one replica while another one answers in it, with the shared log there and away."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.replicas import Replica, Replicas, replicas
from tests.support.server import wait_for
from tests.support.valkey import RedisServer, redis_server


@pytest.fixture
def valkey() -> Iterator[RedisServer]:
    """One of its own, which is killed."""
    with redis_server("valkey") as server:
        yield server


@pytest.fixture
def both(valkey: RedisServer, tmp_path: Path) -> Iterator[Replicas]:
    with replicas(tmp_path, valkey, STREAM_DELAY=0.1, SIMULATED_TEXT="word " * 600) as made:
        made.start(2)
        yield made
        made.leave()


def begun(replica: Replica) -> tuple[str, str]:
    """A stream that goes on unread, and its session."""
    with httpx.stream("POST", f"{replica.url}/chat", json={"message": "x", "new_session": True}) as answer:
        return answer.headers["x-stream-id"], answer.headers["x-session-id"]


def state(replica: Replica, stream_id: str) -> str:
    answer = httpx.get(f"{replica.url}/chat/streams/{stream_id}", headers={"accept": "application/json"})
    return str(answer.json()["state"])


def test_what_another_replica_answers_in_it_is_stopped(both: Replicas) -> None:
    here, there = both.all
    stream_id, session_id = begun(here)
    assert httpx.delete(f"{there.url}/sessions/{session_id}", timeout=20).status_code == 204
    wait_for(lambda: state(here, stream_id) == "cancelled")
    assert httpx.get(f"{here.url}/chat/history/{session_id}").status_code == 404


def test_while_the_log_is_away_it_is_deleted_all_the_same(both: Replicas, valkey: RedisServer) -> None:
    here, there = both.all
    (first, session_id), (second, other) = begun(here), begun(there)
    valkey.kill()
    answer = httpx.delete(f"{there.url}/sessions", params={"everything": "true"}, timeout=20)
    assert answer.status_code == 204
    wait_for(lambda: state(there, second) == "cancelled")
    for gone in (session_id, other):
        assert httpx.get(f"{here.url}/chat/history/{gone}").status_code == 404
    assert httpx.post(f"{here.url}/chat/streams/{first}/cancel").status_code == 202
    wait_for(lambda: state(here, first) == "cancelled")
    assert httpx.get(f"{here.url}/sessions").json()["items"] == [], "what it said has found no place"
