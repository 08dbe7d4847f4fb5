"""Real servers on ephemeral loopback ports: uvicorn in a thread, or `python main.py` as its own process."""

import asyncio
import contextlib
import json
import os
import queue
import secrets
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import uvicorn

from config.settings import Settings
from main import create_app
from routers.http.limits.protocol import bounded_http
from routers.http.limits.values import SHIPPED, ConnectionLimits
from services.container import Services
from services.streams.supervisor import Supervisor
from stores.streams.memory import MemoryStreamLog
from tests.support.forks import inherited, start

ROOT = Path(__file__).parents[2]
T = TypeVar("T")


# Gone with this process.
_FOLDER = tempfile.TemporaryDirectory(prefix="streamforge-tests-")


def fresh_folder() -> Path:
    """A data folder that nobody has used."""
    return Path(_FOLDER.name) / secrets.token_hex(8)


def make_settings(**values: Any) -> Settings:
    """Settings that no environment and no .env file reaches, with a data folder of their own."""
    return Settings(_env_file=None, **{"DATA_DIR": fresh_folder(), **values})


class LiveServer(uvicorn.Server):
    """uvicorn in a thread of this process, so that a test can look inside."""

    def __init__(
        self,
        settings: Settings,
        limits: ConnectionLimits = SHIPPED,
        http: type[asyncio.Protocol] | None = None,
    ) -> None:
        self.settings = settings
        self.app = create_app(settings, limits)
        super().__init__(
            uvicorn.Config(
                self.app,
                http=http or bounded_http(limits),
                log_config=None,
                access_log=False,
                proxy_headers=False,
                ws="none",
                lifespan="on",
                timeout_graceful_shutdown=2,
            )
        )
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.loop: asyncio.AbstractEventLoop | None = None
        self._wanted = asyncio.Event()
        """Set when it is to stop: uvicorn's own loop would notice within a tenth of a second, a thousand times."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)

    async def main_loop(self) -> None:
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), 0.1)

    def stop(self) -> None:
        """Let it stop, as a signal would."""
        self.should_exit = True
        if self.loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self.loop.call_soon_threadsafe(self._wanted.set)

    @property
    def services(self) -> Services:
        """The parts inside; touch them only through `call`."""
        return self.lifespan.state["services"]  # type: ignore[no-any-return]

    @property
    def log(self) -> MemoryStreamLog:
        """The streams that the server has in its memory."""
        log = self.services.streaming._starting._log
        assert isinstance(log, MemoryStreamLog)
        return log

    @property
    def supervisor(self) -> Supervisor:
        """What runs the server's streams."""
        return self.services.streaming._starting._supervisor

    def call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the server's loop and wait for it."""
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(work(), self.loop).result(timeout=30)


@contextlib.contextmanager
def live_server(
    settings: Settings, limits: ConnectionLimits = SHIPPED, http: type[asyncio.Protocol] | None = None
) -> Iterator[LiveServer]:
    """A server in a thread; stopped, and its thread gone, at the end."""
    server = LiveServer(settings, limits, http)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [server.socket]}, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive())
        assert server.started, "the server did not start"
        yield server
    finally:
        server.stop()
        thread.join(timeout=20)
        assert not thread.is_alive(), "the server did not stop"


WITHOUT_PROXIES: dict[str, Any] = {"trust_env": False, "verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}
"""For `httpx`, where a test sets proxies for the server: they are not ours. It would read certificates, too."""


class Process:
    """A server as its own process. Its log is read by a thread, line by line, and kept.

    It has a group of its own, so that no process that it started outlives it: that would hold the log open, and us up.
    """

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        env = {**inherited(), "PYTHONUNBUFFERED": "1", "DATA_DIR": str(fresh_folder()), **env}
        self.popen = start(command, env)
        self.log: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()

    def _drain(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.log.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def wait_for_event(self, event: str, seconds: float = 30) -> dict[str, Any]:
        """The next log line that tells this event."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                break
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                if record.get("event", "").startswith(event):
                    return record  # type: ignore[no-any-return]
        raise AssertionError(f"no {event!r} in the log: {''.join(self.log)}")

    def stop(self, number: int = signal.SIGTERM, seconds: float = 30) -> int:
        """Send a signal and wait; answers the exit code. Then the log is whole, if nobody else holds it open."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        code = self.popen.wait(timeout=seconds)
        self._reader.join(timeout=5)
        return code

    def close(self) -> None:
        """Make sure that it is gone, with all whom it started."""
        if sys.platform == "win32":
            self.popen.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(timeout=10)
        self._reader.join(timeout=10)
        assert self.popen.stderr is not None
        self.popen.stderr.close()


@contextlib.contextmanager
def process_server(command: list[str] | None = None, **settings: Any) -> Iterator[tuple[Process, str]]:
    """`python main.py` (or another command that logs `serving`) with these settings; yields it and its URL."""
    with running(command or [sys.executable, "main.py"], **settings) as started:
        yield started, started.wait_for_event("serving")["url"]


@contextlib.contextmanager
def running(command: list[str], **settings: Any) -> Iterator[Process]:
    """Any command with these settings; gone at the end."""
    started = Process(command, {"PORT": "0", **{name: str(value) for name, value in settings.items()}})
    try:
        yield started
    finally:
        started.close()


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    """Poll until the condition holds; fails with it after the deadline."""
    begun = time.monotonic()
    while not condition():
        waited = time.monotonic() - begun
        assert waited < seconds, f"{condition} did not come true in {seconds} s"
        time.sleep(min(0.005 + waited / 10, 0.05))  # a condition that asks a server would keep both of them busy
