"""How long bodies are waited for, and how much of them is taken before the guard knows whose they are (T06, T11)."""

import asyncio
import json

import pytest
from starlette.types import Message, Receive, Scope, Send

from routers.http.limits.bodies import BodyLimit
from routers.http.limits.values import ConnectionLimits
from tests.routers.http.limits.conftest import QUICK, ServeQuick
from tests.support.keys import KeyRing, bearer
from tests.support.server import LiveServer
from tests.support.sockets import code, connected, poured, response, rest, told, trickled

MIB = 1024 * 1024
JSON = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
FORM = b"Host: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
UPLOADS = ("/documents/upload", "/v1/files")


def head_of_upload(path: str, size: int) -> bytes:
    return b"POST %s HTTP/1.1\r\n" % path.encode() + FORM + b"Content-Length: %d\r\n\r\n" % size


@pytest.mark.parametrize("length", [b"Content-Length: 900000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n2000\r\n"])
def test_json_that_stalls_or_trickles_is_refused(quick: LiveServer, length: bytes) -> None:
    assert code(told(quick.port, JSON + length + b"{")) == (408, "request_timeout")
    heard = trickled(quick.port, JSON + length, b" ")
    assert heard is not None
    assert heard.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("path", UPLOADS)
def test_an_upload_that_trickles_is_refused_in_the_shape_of_its_wire(quick: LiveServer, path: str) -> None:
    heard = trickled(quick.port, head_of_upload(path, 2 * MIB) + PART, b"a")
    assert heard is not None
    assert heard.startswith(b"HTTP/1.1 408")
    body = json.loads(heard.partition(b"\r\n\r\n")[2])
    assert (body["error"] if path.startswith("/v1") else body)["code"] == "request_timeout"


def test_an_upload_that_keeps_its_pace_may_take_longer_than_json(quick: LiveServer) -> None:
    words = b"words " * 2_000
    pieces = 16  # of 12 KB, each 0.05 s after the other: longer than body_seconds, and faster than the rate
    end = b"\r\n--b--\r\n"
    head = head_of_upload("/documents/upload", len(PART) + pieces * len(words) + len(end))
    with connected(quick.port) as client:
        client.sendall(head + PART)
        for _ in range(pieces):
            client.settimeout(0.05)
            with pytest.raises(TimeoutError):
                client.recv(1)
            client.settimeout(20)
            client.sendall(words)
        client.sendall(end)
        assert client.recv(65_536).startswith(b"HTTP/1.1 202")


def test_no_upload_takes_longer_than_the_longest(quick: LiveServer) -> None:
    heard = trickled(quick.port, head_of_upload("/documents/upload", 30 * MIB) + PART, b"a" * 8 * 1024)
    assert heard is not None
    assert heard.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "target", ["POST /chat", "POST /documents/upload", "POST /nothing", "DELETE /health", "GET /health", "PUT /chat"]
)
def test_what_is_refused_or_wants_no_body_is_not_read_whole(serve_quick: ServeQuick, target: str) -> None:
    server = serve_quick({"lingered": MIB}, AUTH_MODE="api_key", RATE_LIMIT_ADDRESS="1/day")
    for status in ("", "429"):
        head = f"{target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {1024 * MIB}\r\n\r\n".encode()
        sent, heard = poured(server.port, head, b"a" * 65_536, 256 * MIB)
        assert sent < 32 * MIB, "what is underway in the kernel's buffers"
        assert not heard or b"connection: close" in heard
        assert not heard or status in heard.decode() or target == "GET /health"


def test_who_is_refused_hears_it_before_the_connection_ends(serve_quick: ServeQuick) -> None:
    server = serve_quick(AUTH_MODE="api_key")
    with connected(server.port) as client:
        client.sendall(JSON + b"Content-Length: 900000\r\n\r\n" + b"a" * 300_000)
        assert code(rest(client)) == (401, "unauthenticated")


@pytest.mark.parametrize("size", [900_000, 20_000_000])
def test_who_still_sends_is_not_reset_before_it_has_heard(serve_quick: ServeQuick, size: int) -> None:
    server = serve_quick({"linger_seconds": 20}, AUTH_MODE="api_key")
    head = head_of_upload("/documents/upload", size)
    sent, heard = poured(server.port, head, b"a" * (size // 100), size)
    assert (sent, code(heard)) == (size // 100 * 100, (401, "unauthenticated"))


def test_a_small_body_that_is_refused_costs_no_connection(serve_quick: ServeQuick, ring: KeyRing) -> None:
    server = serve_quick(AUTH_MODE="api_key", DATA_DIR=ring.folder)
    key = "".join(f"{name}: {value}\r\n" for name, value in bearer(ring.make("ann")).items()).encode()
    kept = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 16\r\n"
    with connected(server.port) as client:
        for refused in (b"\r\n", b"\r\n", b"Authorization: Bearer x\r\n\r\n"):
            client.sendall(kept + refused)
            client.sendall(b'{"message": "x"}')
            assert code(response(client)) == (401, "unauthenticated")
        client.sendall(kept + key + b"Connection: close\r\n\r\n" + b'{"message": "x"}')
        assert b"data: response" in rest(client)


class Waiting:
    """Routes whose guard waits until a test lets it go on; then it reads the body."""

    def __init__(self) -> None:
        self.waits = asyncio.Event()
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.held += 1
        await self.waits.wait()
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def test_so_much_is_taken_of_bodies_whose_callers_are_unknown_and_no_more() -> None:
    app = Waiting()
    layer = BodyLimit(app, max_bytes=1_000, limits=ConnectionLimits(unguarded_bytes=1_000, read_ahead=300))
    statuses: list[int] = []

    async def ask(length: bytes) -> None:
        name = b"transfer-encoding" if length == b"chunked" else b"content-length"
        scope = {"type": "http", "method": "POST", "path": "/chat", "headers": [(name, length)]}
        await layer(scope, receive, send)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async with asyncio.TaskGroup() as tasks:
        for length in (b"900", b"chunked", b"250", b"0", b"150", b"200"):
            tasks.create_task(ask(length))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (app.held, statuses) == (5, [503]), "the last one is too much"
        app.waits.set()
    assert statuses[1:] == [200] * 5
    await ask(b"900")
    assert statuses[-1] == 200, "nothing is held any more"


def test_the_shipped_clocks_are_the_documented_ones() -> None:
    assert ConnectionLimits() != QUICK
    assert ConnectionLimits().upload_seconds == 15 * 60
