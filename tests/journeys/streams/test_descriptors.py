"""F28: no file descriptor is left. Who is connected is served on, others are turned away, and it passes."""

import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import psutil
import pytest

from tests.support.client import open_stream
from tests.support.server import Process, process_server, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux lets us lower another process's limit")

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextmanager
def no_more_descriptors(process: Process, than: int) -> Iterator[None]:
    """The server may open so many more."""
    soft, hard = resource.prlimit(process.popen.pid, resource.RLIMIT_NOFILE)
    open_now = psutil.Process(process.popen.pid).num_fds()
    resource.prlimit(process.popen.pid, resource.RLIMIT_NOFILE, (open_now + than, hard))
    try:
        yield
    finally:
        resource.prlimit(process.popen.pid, resource.RLIMIT_NOFILE, (soft, hard))


def served(client: socket.socket) -> bool:
    """Whether it is; who is turned away hears of it at once."""
    try:
        client.sendall(HEALTH)
        return client.recv(65_536).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


def is_well(url: str) -> bool:
    """Whether a new client is served. A connection that was turned away may still be reset."""
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def test_who_is_connected_is_served_on_and_when_there_is_room_everybody_is() -> None:
    text: dict[str, Any] = {"SIMULATED_TEXT": "word " * 2_000, "STREAM_DELAY": 0.02, "DRAIN_TIMEOUT": 0}
    with process_server(**text) as (process, url), ExitStack() as stack:
        port = int(url.rpartition(":")[2])
        reader = stack.enter_context(open_stream(port)[0])
        kept = stack.enter_context(httpx.Client(base_url=url, timeout=10))
        assert kept.get("/health").status_code == 200
        with no_more_descriptors(process, than=4):
            clients = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(20)]
            assert [served(client) for client in clients].count(True) == 4
            away = kept.get("/sessions")  # the database would be opened
            assert (away.status_code, away.json()["code"]) == (503, "storage_unavailable")
            for _ in range(20):
                assert reader.recv(65_536), "its words keep coming"
            for client in clients:
                client.close()
            wait_for(lambda: is_well(url))
        assert kept.get("/sessions").json() == {"items": []}
        assert process.popen.poll() is None
        assert "Traceback" not in "".join(process.log)
