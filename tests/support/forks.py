"""Starts `python main.py` for tests: on Linux forked off a process that has its modules loaded, which is ten times
as fast. On other systems, and for tests of the start itself (`subprocess`), it is started normally.

Loading takes seconds. Processes that run tests at the same time share one that has done it (`share`), and are forked
off it themselves.
"""

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]


def inherited() -> dict[str, str]:
    """The part of our environment that a program gets, without any settings."""
    return {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}


_SHARED = "STREAMFORGE_TESTS_FORKS"
"""The environment variable that says where the shared one listens."""


class _Server:
    """The fork server of one Python, kept until this process ends."""

    def __init__(self, python: str, *listeners: socket.socket) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        numbers = [each.fileno() for each in (theirs, *listeners)]
        with theirs:
            self._process = subprocess.Popen(
                [python, Path(__file__).with_name("fork_server.py"), *map(str, numbers)],
                pass_fds=numbers, cwd=ROOT, env=inherited(), stdin=subprocess.DEVNULL,
            )  # fmt: skip

        self.pid = self._process.pid
        atexit.register(self.close)

    def close(self) -> None:
        self._control.close()
        self._process.wait(timeout=10)

    def fork(self, words: list[str], env: dict[str, str], descriptors: list[int]) -> None:
        _ask(self._control, words, env, descriptors)


class _Shared:
    """The one of the process that deals tests out, which has the same Python."""

    def __init__(self, path: str) -> None:
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.connect(path)

    def fork(self, words: list[str], env: dict[str, str], descriptors: list[int]) -> None:
        _ask(self._control, words, env, descriptors)


def _ask(control: socket.socket, words: list[str], env: dict[str, str], descriptors: list[int]) -> None:
    socket.send_fds(control, [json.dumps({"words": words, "env": env}).encode()], descriptors)


@contextlib.contextmanager
def shared() -> Iterator[str]:
    """Start one for this process and all that it starts; yields where it listens."""
    with tempfile.TemporaryDirectory(prefix="streamforge-forks-") as folder:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(f"{folder}/socket")
            listener.listen()
            server = _Server(sys.executable, listener)
        path = os.environ[_SHARED] = f"{folder}/socket"
        try:
            yield path
        finally:
            del os.environ[_SHARED]
            server.close()


_servers: dict[str, _Server | _Shared] = {}
_starting = threading.Lock()


def _server(python: str) -> _Server | _Shared:
    with _starting:
        if python not in _servers:
            path = os.environ.get(_SHARED)
            _servers[python] = _Shared(path) if path and python == sys.executable else _Server(python)
        return _servers[python]


def loaders() -> set[int]:
    """The processes that have the program's modules loaded, and run nothing themselves."""
    return {server.pid for server in list(_servers.values()) if isinstance(server, _Server)}


def spent(alive: Callable[[int], float]) -> float:
    """Seconds of processor time of all that were forked; `alive` says those of one that is still running."""
    for each in list(_running):
        if each.poll() is not None:
            _running.discard(each)
    return sum(_ended) + sum(alive(each.pid) for each in list(_running))


_running: set["Forked"] = set()
_ended: list[float] = []
"""Seconds of those that have."""


class Forked:
    """A process, with the part of `subprocess.Popen` that tests use. It has a group of its own."""

    def __init__(self, command: list[str], env: dict[str, str], *, stdout: bool = False) -> None:
        self.args = command
        self.returncode: int | None = None
        self.stdout: IO[str] | None = None
        self._lock = threading.Lock()
        self._told, asker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.ExitStack() as ours:
            ours.callback(asker.close)
            nothing = os.open(os.devnull, os.O_RDWR)
            ours.callback(os.close, nothing)
            self.stderr, errors = _pipe(ours)
            output = nothing
            if stdout:
                self.stdout, output = _pipe(ours)
            _server(command[0]).fork(command[1:], env, [nothing, output, errors, asker.fileno()])
        self.pid = int(self._told.recv(64))
        _running.add(self)

    def poll(self) -> int | None:
        """The exit code, `None` while it runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; returns the exit code."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end; returns its whole standard output and standard error."""
        said: dict[str, str] = {"stdout": "", "stderr": ""}

        def read(name: str, channel: IO[str]) -> None:
            with channel:
                said[name] = channel.read()

        channels = {"stdout": self.stdout, "stderr": self.stderr}
        readers = [
            threading.Thread(target=read, args=(name, channel), daemon=True)
            for name, channel in channels.items()
            if channel is not None
        ]
        for reader in readers:
            reader.start()
        deadline = None if timeout is None else time.monotonic() + timeout
        for reader in readers:
            reader.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        self.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return said["stdout"], said["stderr"]

    def send_signal(self, number: int) -> None:
        """Send the signal if the process is still running."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and select.select([self._told], [], [], timeout)[0]:
                told = self._told.recv(64)
                self._told.close()
                code, took = told.split() or (-signal.SIGKILL, 0)  # its parent was killed, and it with it
                self.returncode = int(code)
                _ended.append(float(took))
            return self.returncode


def _pipe(ours: contextlib.ExitStack) -> tuple[IO[str], int]:
    """A pipe to read from, and its other end, which is closed with the stack."""
    read, write = os.pipe()
    ours.callback(os.close, write)
    return os.fdopen(read, encoding="utf-8"), write


Started = Forked | subprocess.Popen[str]


def start(command: list[str], env: dict[str, str], *, stdout: bool = False) -> Started:
    """Start a program in a group of its own. Its errors, and with `stdout` its output, can be read.

    `python main.py` is forked, except where the first word is a full path of `main.py`.
    """
    if sys.platform == "linux" and command[1:2] == ["main.py"]:
        return Forked(command, env, stdout=stdout)
    return subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        stdout=subprocess.PIPE if stdout else None, process_group=None if sys.platform == "win32" else 0,
    )  # fmt: skip


def run_main(*words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `python main.py` with these arguments and only this environment; returns when it has ended."""
    return run_python("main.py", *words, env=env)


def run_python(*words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The same for any program in Python."""
    process = start([sys.executable, *words], env, stdout=True)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)
