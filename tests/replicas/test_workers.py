"""One address, several worker processes: a client meets any of them, and none is missed when it goes (F17)."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.stores.streams.logs import until
from tests.support.history import Reader, history
from tests.support.replicas import MAIN, Replica, Replicas, replicas
from tests.support.server import running, wait_for
from tests.support.valkey import RedisServer

pytestmark = pytest.mark.slow(reason="workers load the program themselves")

TEXT = " ".join(f"word{number}" for number in range(100))
SETTINGS: dict[str, Any] = {"SIMULATED_TEXT": TEXT, "STREAM_DELAY": 0.03, "STREAM_LEASE": 2}


@pytest.fixture
def served(valkey: RedisServer, folder: Path) -> Iterator[Replicas]:
    with replicas(folder, valkey, **SETTINGS) as made:
        yield made


def workers(parent: Replica) -> list[psutil.Process]:
    """The processes that serve."""
    return [child for child in psutil.Process(parent.process.popen.pid).children() if serves(child)]


def serves(process: psutil.Process) -> bool:
    """Whether it is a worker, and lives. Between two looks at it, it may end, and be gone."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


def processes(served: Replicas, stream_id: str) -> set[bytes]:
    """Which processes read this stream, or have written it, as Redis has it."""
    meta = served.valkey.say("HGETALL", f"{served.prefix}:{{{stream_id}}}:meta").split(b"\r\n")
    readers = {name.removeprefix(b"until:") for name in meta if name.startswith(b"until:")}
    return readers | {meta[meta.index(b"owner") + 2]}


async def test_a_stream_of_one_worker_is_read_and_stopped_at_another_and_both_leave_together(served: Replicas) -> None:
    (parent,) = served.start(command=[*MAIN, "--workers", "2"])
    async with history() as told:
        asked = await told.post(parent.url, "x", new_session=True)
        await asked.heard(3)
        readers: list[Reader] = []
        while len(processes(served, asked.stream_id)) < 2:  # who takes a connection is the kernel's choice
            assert len(readers) < 60
            readers.append(await told.follow(parent.url, asked.stream_id))
        for _ in range(10):
            assert (await told.state(parent.url, asked.stream_id))["state"] == "running"
        for reader in (asked, *readers):
            assert (await reader.end()).event == "done"
            assert reader.text == TEXT
        stopped = [await told.post(parent.url, "y", new_session=True) for _ in range(6)]
        for reader in stopped:
            await reader.heard(1)
            assert (await told.cancel(parent.url, reader.stream_id)).json()["state"] == "cancelled"
            assert (await reader.end()).data["reason"] == "requested"
        running_on = [await told.post(parent.url, "z", new_session=True) for _ in range(4)]
        for reader in running_on:
            await reader.heard(1)
        pids = workers(parent)
        assert len(pids) == 2
        parent.process.popen.terminate()
        for reader in running_on:
            assert (await reader.end()).event == "done", "TERM lets them finish"
        await until(lambda: parent.process.popen.poll() is not None, 20)
        assert not any(map(serves, pids))
        assert "Traceback" not in "".join(parent.process.log)
        (after,) = served.start()
        await told.check(after.url, served.live)
    served.leave()


async def test_a_worker_that_is_killed_is_replaced_and_its_streams_are_ended_by_the_other(served: Replicas) -> None:
    (parent,) = served.start(command=[*MAIN, "--workers", "2"])
    async with history() as told:
        asked = [await told.post(parent.url, "x", new_session=True) for _ in range(8)]
        for reader in asked:
            await reader.heard(3)
        victim = workers(parent)[0]
        victim.kill()
        ends = [await reader.end() for reader in asked]
        assert {end.event for end in ends} <= {"done", "error"}
        assert {end.data["code"] for end in ends if end.event == "error"} == {"producer_lost"}
        wait_for(lambda: len([one for one in workers(parent) if one.pid != victim.pid]) == 2)
        on = await told.post(parent.url, "y", new_session=True)
        assert (await on.end()).event == "done"
        await told.check(parent.url, served.live)
    assert parent.process.stop() in (0, -15, 143)


LAUNCHERS: dict[str, tuple[list[str], dict[str, str]]] = {
    "main.py --workers": ([*MAIN, "--workers", "2"], {}),
    "main.py and WORKERS": (MAIN, {"WORKERS": "2"}),
    "uvicorn --workers": ([sys.executable, "-m", "uvicorn", "main:app", "--port", "0", "--workers", "2"], {}),
    "uvicorn and WEB_CONCURRENCY": (
        [sys.executable, "-m", "uvicorn", "main:app", "--port", "0"], {"WEB_CONCURRENCY": "2"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_several_workers_without_a_log_that_they_share_are_refused(launcher: str, folder: Path) -> None:
    command, env = LAUNCHERS[launcher]
    with running(command, DATA_DIR=folder, **env) as started:
        code = started.popen.wait(timeout=30)
        started.close()
        log = "".join(started.log)
        assert code == (0 if "uvicorn" in launcher else 2), "uvicorn's parent never asks how its workers have ended"
        assert "cannot start 2 workers" in log
        assert "REDIS_URL" in log
        assert "Traceback" not in log
