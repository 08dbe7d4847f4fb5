"""Clients that write every byte themselves, and those that are too slow to be served."""

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

TRICKLE = 0.02
"""Seconds between two bytes of a client that trickles."""


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """A connection to a port of this machine."""
    with socket.create_connection(("127.0.0.1", port), timeout=50) as client:
        yield client


def rest(client: socket.socket) -> bytes:
    """All that comes until the server ends the connection."""
    heard = b""
    with contextlib.suppress(ConnectionError):
        while part := client.recv(65_536):
            heard += part
    return heard


def response(client: socket.socket) -> bytes:
    """One response that says how long it is."""
    heard = b""
    while not (found := re.search(rb"content-length: (\d+)\r\n.*?\r\n\r\n", heard, re.DOTALL | re.IGNORECASE)) or (
        len(heard) < found.end() + int(found[1])
    ):
        part = client.recv(65_536)
        assert part, heard
        heard += part
    return heard


def told(port: int, request: bytes) -> bytes:
    """All that the server answers to these bytes, until it ends the connection."""
    with connected(port) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(request)
        return rest(client)


def trickled(port: int, begin: bytes, piece: bytes, seconds: float = 50) -> bytes | None:
    """What a client hears that sends one piece after another; `None` if its connection is still open then."""
    with connected(port) as client:
        client.sendall(begin)
        client.settimeout(TRICKLE)
        deadline = time.monotonic() + seconds
        heard = b""
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < deadline:
                client.send(piece)
                with contextlib.suppress(TimeoutError):
                    if not (part := client.recv(65_536)):
                        return heard
                    heard += part
            return None
        return heard + rest(client)


def poured(port: int, begin: bytes, piece: bytes, most: int) -> tuple[int, bytes]:
    """How many bytes a client gets rid of that sends as fast as it can, at most so many; and what it hears."""
    sent = 0
    with connected(port) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(begin)
            while sent < most:
                client.sendall(piece)
                sent += len(piece)
        return sent, rest(client)


def code(answer: bytes) -> tuple[int, str | None]:
    """The status and the code of a response."""
    head, _, body = answer.partition(b"\r\n\r\n")
    told: Any = None
    with contextlib.suppress(ValueError):
        told = json.loads(body)
    return int(head.split(b" ", 2)[1]), told.get("code") if isinstance(told, dict) else None
