"""F15, F16: the database is locked by another process, or has no room. What needs it says so; the rest goes on."""

import resource
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.answers import Heard, ask, heard
from tests.support.server import Process, process_server, wait_for
from tests.support.talk import Talk, open_talk

WORDS = "one two three four five six"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Another process, as we are one, is writing all the while."""
    with closing(sqlite3.connect(folder / "streamforge.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def full(process: Process) -> Iterator[None]:
    """No file of the server's may grow."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE, (1_024, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE, unlimited)


class Reading:
    """An answer that a thread reads to its end."""

    def __init__(self, talk: Talk, message: str = "slow") -> None:
        self.begun = threading.Event()
        self.answer: Heard | None = None
        self._thread = threading.Thread(target=self._read, args=(talk, message), daemon=True)
        self._thread.start()
        assert self.begun.wait(20)

    def _read(self, talk: Talk, message: str) -> None:
        body = {"message": message, "session_id": talk.id}
        with httpx.stream("POST", f"{talk.url}/chat?format=events", json=body, timeout=60) as response:
            self.begun.set()
            response.read()
        self.answer = heard(response)

    def ended(self) -> Heard:
        self._thread.join(timeout=60)
        assert self.answer is not None
        return self.answer


def gaps(url: str, until: threading.Event) -> list[float]:
    """How long each word of stateless answers took to come, again and again until something has happened."""
    found: list[float] = []
    while not until.is_set():
        last = time.monotonic()
        with httpx.stream("POST", f"{url}/chat", json={"message": "x"}, timeout=30) as response:
            for _ in response.iter_raw():
                found.append(time.monotonic() - last)
                last = time.monotonic()
    return found


@pytest.mark.clock
def test_while_another_process_writes_reading_goes_on_and_writing_waits_its_time(tmp_path: Path) -> None:
    with process_server(DATA_DIR=tmp_path, STREAM_DELAY=0.01, SIMULATED_TEXT=WORDS) as (process, url):
        talk, _ = open_talk(url)
        refused: list[Heard] = []
        done = threading.Event()

        def post() -> None:
            refused.append(talk.say("now"))
            done.set()

        with locked(tmp_path):
            begun = time.monotonic()
            thread = threading.Thread(target=post)
            thread.start()
            waits = gaps(url, done)
            took = time.monotonic() - begun
            thread.join(timeout=30)
            assert talk.texts() == ["hello", WORDS]
        assert (refused[0].status, refused[0].code) == (503, "storage_unavailable")
        assert int(refused[0].headers["retry-after"]) > 0
        assert 4 < took < 12, "a turn of its own, at most after one of who waited before it, and not longer"
        assert sorted(waits)[len(waits) * 99 // 100] < 0.25, "nobody else has noticed"
        assert talk.texts() == ["hello", WORDS], "it was refused, and has left nothing"
        assert talk.say("now").text == WORDS
        assert "Traceback" not in "".join(process.log)


def test_an_answer_that_ends_meanwhile_waits_to_be_stored(tmp_path: Path) -> None:
    with process_server(DATA_DIR=tmp_path, STREAM_DELAY=0.2, SIMULATED_TEXT=WORDS) as (_, url):
        talk, _ = open_talk(url)
        reading = Reading(talk)
        with locked(tmp_path):
            stream_id = talk.history()[-1]["stream_id"]
            wait_for(lambda: said(url, stream_id) == WORDS)
            state = talk.history()[-1]["state"]
        assert state == "running"
        assert reading.ended().last[0] == "done"
        assert talk.texts()[-1] == WORDS


@pytest.mark.parametrize("trouble", ["locked", "full"])
def test_what_cannot_be_stored_in_time_says_so_and_is_stored_when_it_can_be(tmp_path: Path, trouble: str) -> None:
    settings: dict[str, Any] = {"DATA_DIR": tmp_path, "STREAM_DELAY": 0.5, "SIMULATED_TEXT": WORDS}
    with process_server(**settings) as (process, url):
        talk, _ = open_talk(url)
        reading = Reading(talk)
        with locked(tmp_path) if trouble == "locked" else full(process):
            if trouble == "full":
                other = open_refused(url)
                assert (other.status, other.code) == (507, "storage_full")
                assert ask(url).last[0] == "done", "who stores nothing is not concerned"
            answer = reading.ended()
            assert answer.code == "not_saved"
            assert answer.text == WORDS
            assert httpx.get(f"{url}/health").status_code == 200
        assert talk.say("and now?").text == WORDS
        _, _, question, unsaved, *rest = talk.history()
        assert (question["text"], unsaved["text"]) == ("slow", WORDS), "late, and yet"
        assert (unsaved["state"], unsaved["code"]) == ("interrupted", "not_saved")
        assert [each["state"] for each in rest] == ["complete", "complete"]
        wait_for(lambda: sum(each["streams"] for each in httpx.get(f"{url}/usage").json()["items"]) == 3, 30)
        assert "Traceback" not in "".join(process.log)


def said(url: str, stream_id: str) -> str:
    """What a stream has said so far."""
    state = httpx.get(f"{url}/chat/streams/{stream_id}", headers={"accept": "application/json"})
    return str(state.json()["text"])


def open_refused(url: str) -> Heard:
    return ask(url, "me too", new_session=True)
