"""An update that brings a new event rolls: older replicas read it, and leave what they do not understand alone."""

from pathlib import Path
from typing import Any

import httpx

from tests.support.replicas import replicas
from tests.support.server import wait_for
from tests.support.sse import parse
from tests.support.valkey import RedisServer

LEASE = 1.0
JSON = {"accept": "application/json"}
WORDS: dict[str, Any] = {"SIMULATED_TEXT": "word " * 2_000, "STREAM_DELAY": 0.02, "STREAM_LEASE": LEASE}


def test_an_answer_whose_newer_replica_dies_is_not_stored_by_an_older_one(valkey: RedisServer, tmp_path: Path) -> None:
    with replicas(tmp_path, valkey, **WORDS) as made:
        older, newer = made.start(2)
        question = {"message": "x", "new_session": True}
        with httpx.stream("POST", f"{newer.url}/chat", json=question) as answer:
            stream_id = answer.headers["x-stream-id"]
            newer.freeze()
            stem = f"{made.prefix}:{{{stream_id}}}:"
            last = int(valkey.say("HGET", f"{stem}meta", "last").split(b"\r\n")[1]) + 1
            valkey.say("XADD", f"{stem}log", f"{last}-0", "tool_result", '{"id":"call_1"}')
            valkey.say("HSET", f"{stem}meta", "last", str(last))
            newer.kill()
        wait_for(lambda: older.told("a stream of a newer version is left"), seconds=LEASE + 10)

        state = httpx.get(f"{older.url}/chat/streams/{stream_id}", headers=JSON).json()
        assert (state["state"], state["last_seq"]) == ("running", last)
        history = httpx.get(f"{older.url}/chat/history/{state['session_id']}").json()
        assert history["items"][-1]["state"] == "running", "what came before is not the whole answer"
        body = b""
        with httpx.stream("GET", f"{older.url}/chat/streams/{stream_id}", params={"format": "events"}) as read:
            for piece in read.iter_raw():
                body += piece
                if b"tool_result" in body:
                    break
        message = next(message for message in parse(body) if message.event == "tool_result")
        assert (message.data, message.last_event_id) == ('{"id":"call_1"}', f"{stream_id}-{last}")
        older.leave()
