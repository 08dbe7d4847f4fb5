"""T11: clients that send without an end, too slowly or not at all, in a row of which each is ended.

Beside them somebody reads a stream whose words keep coming; the server's memory stays, and its descriptors come back.
"""

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.security.connections.conftest import Place
from tests.support.server import wait_for
from tests.support.sockets import connected, poured, rest, trickled

pytestmark = [
    pytest.mark.clock,
    pytest.mark.skipif(sys.platform != "linux", reason="Linux says what a process has"),
]

AT_ONCE = 12
MOST_MIB = 16
LARGEST_GAP = 1.0
MIB = 1024 * 1024

Attack = Callable[[Place], bool]
"""Whether the connection was ended."""


def head(place: Place, line: str, *fields: str) -> bytes:
    return "".join([f"{line} HTTP/1.1\r\nHost: 127.0.0.1\r\n{place.key}", *(f"{each}\r\n" for each in fields)]).encode()


def upload(place: Place, path: str) -> bytes:
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    kind = "Content-Type: multipart/form-data; boundary=b"
    return head(place, f"POST {path}", kind, f"Content-Length: {2 * MIB}") + b"\r\n" + part


def idle(place: Place) -> bool:
    with connected(place.port) as client:
        rest(client)
    return True


def idle_after_a_request(place: Place) -> bool:
    with connected(place.port) as client:
        client.sendall(head(place, "GET /health") + b"\r\n")
        rest(client)
    return True


def half_a_head(place: Place) -> bool:
    with connected(place.port) as client:
        client.sendall(head(place, "GET /health"))
        rest(client)
    return True


def a_head_that_trickles(place: Place) -> bool:
    return trickled(place.port, head(place, "GET /health"), b"a") is not None


def refused(heard: bytes) -> bool:
    """Whether that is a refusal, or nothing: a reset may overtake it."""
    return not heard or heard.startswith(b"HTTP/1.1 4")


def a_head_of_many_fields(place: Place) -> bool:
    fields = b"".join(b"x-%d: y\r\n" % number for number in range(20_000))
    return refused(poured(place.port, head(place, "GET /health"), fields + b"\r\n", 1)[1])


def a_head_without_an_end(place: Place) -> bool:
    return refused(poured(place.port, head(place, "GET /health"), b"a: b\r\n" * 10_000, 16 * MIB)[1])


def a_field_without_an_end(place: Place) -> bool:
    return refused(poured(place.port, head(place, "GET /health") + b"a: ", b"b" * 60_000, 16 * MIB)[1])


def half_a_body(place: Place) -> bool:
    with connected(place.port) as client:
        client.sendall(head(place, "POST /chat", "Content-Type: application/json", "Content-Length: 900000") + b"\r\n{")
        rest(client)
    return True


def a_body_that_trickles(place: Place) -> bool:
    """Not POST /chat: nginx takes all of that before it sends it on, to be able to send it again."""
    begin = head(place, "POST /sessions", "Content-Type: application/json", "Content-Length: 900000")
    heard = trickled(place.port, begin + b"\r\n", b" ")
    return heard is not None and b" 408 " in heard.partition(b"\r\n")[0]


def an_upload_that_trickles(place: Place) -> bool:
    heard = trickled(place.port, upload(place, "/documents/upload"), b"a")
    return heard is not None and b" 408 " in heard.partition(b"\r\n")[0]


def half_an_upload(place: Place) -> bool:
    with connected(place.port) as client:
        client.sendall(upload(place, "/v1/files"))
        return b" 408 " in rest(client).partition(b"\r\n")[0]


ATTACKS: list[Attack] = [
    idle, idle_after_a_request, half_a_head, a_head_that_trickles, a_head_of_many_fields, a_head_without_an_end,
    a_field_without_an_end, half_a_body, a_body_that_trickles, an_upload_that_trickles, half_an_upload,
]  # fmt: skip


class Victim:
    """Reads a stream, and notes the longest that no word came."""

    def __init__(self, place: Place) -> None:
        self.gap = 0.0
        self._socket = socket.create_connection(("127.0.0.1", place.port), timeout=20)
        body = b'{"message": "x", "on_disconnect": "cancel"}'
        request = head(place, "POST /chat", "Content-Type: application/json", f"Content-Length: {len(body)}")
        self._socket.sendall(request + b"\r\n" + body)
        assert self._socket.recv(65_536).startswith(b"HTTP/1.1 200")
        self._reads = True
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        last = time.monotonic()
        while self._reads:
            if not self._socket.recv(65_536):
                self.gap = 99
                return
            now = time.monotonic()
            self.gap = max(self.gap, now - last)
            last = now

    def close(self) -> None:
        self._reads = False
        self._thread.join(timeout=20)
        self._socket.close()


@contextmanager
def victim(place: Place) -> Iterator[Victim]:
    reading = Victim(place)
    try:
        yield reading
    finally:
        reading.close()


@pytest.fixture(scope="module")
def memory(places: dict[str, Place]) -> float:
    """What the server has before anybody harms it, once it has loaded what it needs."""
    with victim(places["bare"]):
        return places["bare"].memory()


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.__name__ for attack in ATTACKS])
def test_it_is_ended_and_disturbs_nobody(place: Place, attack: Attack, memory: float) -> None:
    before = place.descriptors()
    with victim(place) as reading, ThreadPoolExecutor(AT_ONCE) as pool:
        assert all(pool.map(attack, [place] * AT_ONCE))
    assert reading.gap < LARGEST_GAP
    assert place.memory() - memory < MOST_MIB
    wait_for(lambda: place.descriptors() <= before + 2)  # a proxy keeps some connections
