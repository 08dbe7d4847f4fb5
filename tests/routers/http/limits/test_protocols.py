"""What may come before and between requests, on both of uvicorn's protocols (T05, T06, T11, T26, T44)."""

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import cast

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from routers.http.limits.h11_protocol import BoundedH11
from routers.http.limits.httptools_protocol import BoundedHttpTools
from tests.routers.http.limits.conftest import QUICK, ServeQuick
from tests.support.server import LiveServer, live_server, make_settings
from tests.support.sockets import code, connected, poured, response, rest, told, trickled

HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
LAST = HEAD + b"Connection: close\r\n"
SERVED = (200, None)
KIB = 1024


@pytest.fixture(scope="module", params=[BoundedHttpTools, BoundedH11])
def server(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    http = cast(type[asyncio.Protocol], partial(request.param, limits=QUICK))
    with live_server(make_settings(STREAM_DELAY=0), QUICK, http) as started:
        yield started


def test_who_says_nothing_is_told_nothing_and_gone(server: LiveServer) -> None:
    assert told(server.port, b"") == b""


def test_a_head_that_is_not_finished_is_refused_in_a_moment(server: LiveServer) -> None:
    assert code(told(server.port, HEAD)) == (408, "request_timeout")


@pytest.mark.parametrize("begin", [b"", HEAD, LAST[:-2], b"G"], ids=["nothing", "a field", "a value", "a letter"])
def test_a_head_that_trickles_has_no_more_time(server: LiveServer, begin: bytes) -> None:
    heard = trickled(server.port, begin, b"a")
    assert heard is not None
    assert code(heard)[0] in (400, 408)


def test_blank_lines_are_no_way_to_stay(server: LiveServer) -> None:
    assert trickled(server.port, b"", b"\r\n") is not None


def test_the_next_head_on_a_connection_has_the_same_time(server: LiveServer) -> None:
    with connected(server.port) as client:
        client.sendall(HEAD + b"\r\n")
        assert code(response(client)) == SERVED
        client.sendall(HEAD)
        assert code(rest(client)) == (408, "request_timeout")


def test_a_head_without_an_end_is_refused_at_its_limit(server: LiveServer) -> None:
    for piece in (b"a: b\r\n" * 1_000, b"a" * 6_000):
        sent, heard = poured(server.port, HEAD, piece, 64 * KIB * KIB)
        assert sent < 16 * KIB * KIB, "what is underway in the kernel's buffers"
        assert not heard or code(heard)[0] in (400, 431)


def test_a_head_may_have_so_many_fields_and_so_many_bytes(server: LiveServer) -> None:
    fields = b"".join(b"a%d: b\r\n" % number for number in range(98))
    assert code(told(server.port, LAST + fields + b"\r\n")) == SERVED
    assert code(told(server.port, LAST + fields + b"x: y\r\n\r\n")) == (431, "head_too_large")
    assert code(told(server.port, LAST + b"a: " + b"b" * 60 * KIB + b"\r\n\r\n")) == SERVED
    assert code(told(server.port, LAST + b"a: " + b"b" * 65 * KIB + b"\r\n\r\n"))[0] in (400, 431)
    target = b"GET /health?" + b"a" * 65 * KIB + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert code(told(server.port, target))[0] in (400, 431)


def test_a_body_in_the_same_packet_counts_for_itself(server: LiveServer) -> None:
    body = b'{"message": "x", "session_id": null}' + b" " * 200 * KIB
    head = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    answer = told(server.port, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"data: response" in answer


def test_the_beginning_of_another_request_cuts_no_stream(serve_quick: ServeQuick) -> None:
    server = serve_quick(STREAM_DELAY=0.2, SIMULATED_TEXT="a b c d e")
    with connected(server.port) as client:
        body = b'{"message": "x"}'
        head = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"
        client.sendall(head + body + b"GET /hea")
        answer = rest(client)
    assert b"data: e" in answer, "the stream took longer than a head may"
    assert b"\r\n0\r\n\r\n" in answer


def test_what_is_wrong_behind_a_request_puts_nothing_into_its_stream(serve_quick: ServeQuick) -> None:
    server = serve_quick(STREAM_DELAY=0.2)
    head = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"
    for behind in (b"\x00\x00 nonsense\r\n\r\n", HEAD + b"a: b\r\n" * 200):
        with connected(server.port) as client:
            client.sendall(head + b'{"message": "x"}')
            assert client.recv(65_536).startswith(b"HTTP/1.1 200")
            client.sendall(behind)
            assert b"HTTP/1.1 4" not in rest(client)


def test_so_many_requests_may_wait_on_one_connection(quick: LiveServer) -> None:
    assert told(quick.port, (HEAD + b"\r\n") * 16 + LAST + b"\r\n").count(b"HTTP/1.1 200") == 17
    assert told(quick.port, (HEAD + b"\r\n") * 2_000).count(b"HTTP/1.1") < 17


def test_the_host_in_the_target_counts_and_the_header_does_not(quick: LiveServer) -> None:
    def asked(target: bytes, host: bytes) -> int:
        return code(told(quick.port, b"GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (target, host)))[0]

    assert asked(b"http://localhost/health", b"localhost") == 200
    assert asked(b"http://127.0.0.1:80/health?a=b", b"evil.example") == 200
    assert asked(b"http://evil.example/health", b"localhost") == 403
    assert asked(b"http://evil.example", b"localhost") == 400
    assert asked(b"http://localhost@evil.example/health", b"localhost") == 403
    assert asked(b"//evil.example/health", b"localhost") == 404


def test_fields_behind_a_body_are_not_among_those_of_the_head(serve_quick: ServeQuick) -> None:
    server = serve_quick(FORWARDED_ALLOW_IPS="127.0.0.1", ALLOW_UNAUTHENTICATED=True, RATE_LIMIT_ADDRESS="2/hour")
    head = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
    head += b"Content-Type: application/json\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
    body = b'10\r\n{"message": "x"}\r\n0\r\nX-Forwarded-For: 203.0.113.%d\r\n\r\n'
    statuses = [code(told(server.port, head + body % number))[0] for number in range(10, 14)]
    assert statuses == [200, 200, 429, 429], "all count for the address that the proxy has seen"


def test_what_comes_behind_a_body_without_an_end_is_refused(quick: LiveServer) -> None:
    head = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    for begin, piece in ((b"2\r\n{}\r\n0\r\na: ", b"b" * 6_000), (b"2;a=", b"b" * 6_000)):
        sent, _ = poured(quick.port, head + begin, piece, 64 * KIB * KIB)
        assert sent < 16 * KIB * KIB


def test_a_client_that_waits_to_be_asked_for_its_body_is_refused_without(serve_quick: ServeQuick) -> None:
    server = serve_quick(AUTH_MODE="api_key")
    head = b"POST /chat HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 900000\r\n\r\n"
    answer = told(server.port, head)
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"100 Continue" not in answer


class Wire(asyncio.Transport):
    """A connection that only notes whether anybody reads from it."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def pause_reading(self) -> None:
        self.told.append("pause")

    def resume_reading(self) -> None:
        self.told.append("resume")

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass


async def test_a_body_stays_where_it_is_until_somebody_asks_for_it() -> None:
    guard, asked = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await guard.wait()
        await receive()
        asked.set()
        await receive()

    config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none")
    config.load()
    protocol = BoundedHttpTools(config=config, server_state=ServerState(), app_state={})
    wire = Wire()
    protocol.connection_made(wire)
    protocol.data_received(b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n" + b"a" * 100)
    assert wire.told == ["pause"], "the guard comes first"
    guard.set()
    await asked.wait()
    assert wire.told == ["pause", "resume"]
    protocol.connection_lost(ConnectionResetError())
