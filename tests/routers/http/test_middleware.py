"""The layers every request passes, where a real client cannot easily lead them."""

import socket
from collections.abc import Callable

from tests.support.server import LiveServer


def raw(server: LiveServer, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(request)
        if b"POST" not in request:  # to half-close is to leave, for a stream
            client.shutdown(socket.SHUT_WR)
        answer = b""
        while part := client.recv(65536):
            answer += part
    return answer


def test_odd_hosts_and_targets_on_the_bare_socket_never_get_through(serve: Callable[..., LiveServer]) -> None:
    server = serve()
    odd = {
        b"GET /health HTTP/1.1\r\n\r\n": (b"403", b"400"),
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n": (b"403", b"400"),
        b"GET /health HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n": (b"403", b"400"),
        b"GET http://evil.example/health HTTP/1.1\r\nHost: evil.example\r\n\r\n": (b"403", b"400"),
        b"GET //health HTTP/1.1\r\nHost: localhost\r\n\r\n": (b"404",),
        b"GET /%2e%2e/health HTTP/1.1\r\nHost: localhost\r\n\r\n": (b"404",),
        b"GET health HTTP/1.1\r\nHost: localhost\r\n\r\n": (b"400", b"404"),
        b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n": (b"400",),
        b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}": (b"400",),
    }
    for request, statuses in odd.items():
        answer = raw(server, request)
        assert answer.split(b" ", 2)[1] in statuses, (request, answer[:200])


def test_an_old_client_gets_its_stream_without_keep_alive(serve: Callable[..., LiveServer]) -> None:
    server = serve()
    body = b'{"message": "x"}'
    head = b"POST /chat HTTP/%s\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 16\r\n%s\r\n"
    for version, extra in ((b"1.0", b""), (b"1.1", b"Connection: close\r\n")):
        answer = raw(server, head % (version, extra) + body).lower()
        assert b"data: response" in answer
        assert b"connection: keep-alive" not in answer
