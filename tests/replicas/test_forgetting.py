"""A session that is deleted on one replica while another one answers in it, with the shared log there and away."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.replicas import Replica, Replicas, replicas
from tests.support.server import wait_for
from tests.support.valkey import RedisServer, redis_server

# Whatever it asks may wait for Redis to be given up, on a busy machine.
ask: Callable[..., httpx.Response] = partial(httpx.request, timeout=20)


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
    question: dict[str, Any] = {"message": "x", "new_session": True}
    with httpx.stream("POST", f"{replica.url}/chat", json=question, timeout=20) as answer:
        return answer.headers["x-stream-id"], answer.headers["x-session-id"]


def stopped(replica: Replica, stream_id: str) -> None:
    """Returns when the stream is cancelled, and its replica has no more to do for it."""
    wait_for(lambda: state(replica, stream_id) == "cancelled")
    wait_for(lambda: stream_id in {ended["stream_id"] for ended in replica.told("stream ended")})


def state(replica: Replica, stream_id: str) -> str:
    answer = ask("GET", f"{replica.url}/chat/streams/{stream_id}", headers={"accept": "application/json"})
    return str(answer.json()["state"])


def test_what_another_replica_answers_in_it_is_stopped(both: Replicas) -> None:
    here, there = both.all
    stream_id, session_id = begun(here)
    assert ask("DELETE", f"{there.url}/sessions/{session_id}").status_code == 204
    stopped(here, stream_id)
    assert ask("GET", f"{here.url}/chat/history/{session_id}").status_code == 404


def test_while_the_log_is_away_it_is_deleted_all_the_same(both: Replicas, valkey: RedisServer) -> None:
    here, there = both.all
    (first, session_id), (second, other) = begun(here), begun(there)
    valkey.kill()
    answer = ask("DELETE", f"{there.url}/sessions", params={"everything": "true"})
    assert answer.status_code == 204
    stopped(there, second)
    for gone in (session_id, other):
        assert ask("GET", f"{here.url}/chat/history/{gone}").status_code == 404
    assert ask("POST", f"{here.url}/chat/streams/{first}/cancel").status_code == 202
    stopped(here, first)
    assert ask("GET", f"{here.url}/sessions").json()["items"] == [], "what it said has found no place"
