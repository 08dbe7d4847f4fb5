"""F03, F04, T12: what the kernel does for `python main.py` when a client takes nothing any more."""

import socket
import struct
import sys
from ctypes import addressof, create_string_buffer
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.client import open_stream
from tests.support.server import process_server, wait_for

SO_ATTACH_FILTER = 26
DROP_EVERYTHING = struct.pack("HBBI", 6, 0, 0, 0)
"""A program for the kernel's packet filter: keep nothing of any packet."""

pytestmark = [
    pytest.mark.clock,
    pytest.mark.skipif(sys.platform != "linux", reason="the filter and TCP_USER_TIMEOUT are Linux's"),
]


def vanish(client: socket.socket) -> None:
    """As if its cable were pulled: whatever is sent to it is lost before TCP sees it, so nothing is acknowledged."""
    program = create_string_buffer(DROP_EVERYTHING)
    client.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, addressof(program)))


def test_a_client_that_vanishes_from_a_silent_stream_is_let_go_of() -> None:
    """Heartbeats fit into the send buffer for hours, so that no write waits: only missing acknowledgements tell."""
    clocks: dict[str, Any] = {"STREAM_DELAY": 60, "STREAM_HEARTBEAT": 0.1, "STREAM_SEND_TIMEOUT": 0.5}
    with process_server(**clocks, DRAIN_TIMEOUT=0) as (process, url):
        server = psutil.Process(process.popen.pid)

        def readers() -> int:
            return sum(each.status == psutil.CONN_ESTABLISHED for each in server.net_connections("tcp"))

        gone, _ = open_stream(int(url.rpartition(":")[2]))
        there, _ = open_stream(int(url.rpartition(":")[2]))
        assert readers() == 2
        vanish(gone)
        wait_for(lambda: there.recv(65_536) and readers() == 1)  # who answers is told on
        for each in (gone, there):
            each.close()


def unsent(server: int, client: socket.socket) -> int:
    """Bytes for this client that the kernel keeps on the server's side."""
    port: int = client.getsockname()[1]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, here, there, _, queues, *_ = line.split()
        if (int(here.rpartition(":")[2], 16), int(there.rpartition(":")[2], 16)) == (server, port):
            return int(queues.partition(":")[0], 16)
    raise AssertionError("there is no such connection")


def test_the_kernel_keeps_little_for_a_client_that_reads_nothing() -> None:
    text: dict[str, Any] = {"STREAM_DELAY": 0, "SIMULATED_TEXT": "word " * 25_000, "STREAM_SEND_TIMEOUT": 60}
    with process_server(**text, DRAIN_TIMEOUT=0) as (process, url):
        port = int(url.rpartition(":")[2])
        frozen, _ = open_stream(port)
        process.wait_for_event("stream ended")
        wait_for(lambda: unsent(port, frozen) > 0)
        assert unsent(port, frozen) < 256 * 1024, "left to itself, it would take megabytes"
        frozen.close()
