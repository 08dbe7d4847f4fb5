"""The shipped proxies take what the server takes, and answer nothing for the hosts of others (T08, T11, T26, T36)."""

import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress

import httpx
import pytest

from tests.journeys.streams.test_reading import code_of
from tests.security.conftest import ServeKeys
from tests.security.connections.conftest import Place, unused_port
from tests.support.proxies import KINDS, reverse_proxy
from tests.support.server import LiveServer
from tests.support.sockets import code, told

pytestmark = pytest.mark.xdist_group("connections")

MIB = 1024 * 1024
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
TAIL = b"\r\n--b--\r\n"


def key_of(place: Place) -> dict[str, str]:
    name, _, value = place.key.strip().partition(": ")
    return {name: value}


def upload(place: Place, path: str, size: int) -> httpx.Response:
    body = HEAD + b"PK\x05\x06".ljust(size - len(HEAD) - len(TAIL), b"\x00") + TAIL
    headers = {**key_of(place), "content-type": "multipart/form-data; boundary=b"}
    return httpx.post(f"{place.url}{path}", content=body, headers=headers, timeout=60)


@pytest.mark.parametrize("path", ["/documents/upload", "/v1/files"])
def test_an_upload_may_be_as_large_as_the_server_takes(place: Place, path: str) -> None:
    taken = upload(place, path, 32 * MIB)
    assert taken.status_code not in (413, 502, 503), "that it is no document is said by who has read it"
    assert upload(place, path, 32 * MIB + 1).status_code == 413, "the proxy passes on what the server says"


def test_json_may_be_as_large_as_the_server_takes(place: Place) -> None:
    headers = {**key_of(place), "content-type": "application/json"}

    def post(size: int) -> httpx.Response:
        return httpx.post(f"{place.url}/sessions", content=b'{"title": "x"}'.ljust(size), headers=headers)

    assert post(MIB).status_code == 201
    with suppress(httpx.TransportError):  # Caddy may reset a client that still sends
        assert post(MIB + 1).status_code == 413


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["/", "/health", "/sessions", "/v1/models"])
def test_nothing_is_answered_for_foreign_hosts(places: dict[str, Place], kind: str, path: str) -> None:
    place = places[kind]

    def ask(target: str, host: str) -> bytes:
        head = f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{place.key}Connection: close\r\n\r\n"
        return told(place.port, head.encode())

    for host in ("evil.example", f"evil.example:{place.port}", "127.0.0.1.evil.example", "10.0.0.1", "[::1]"):
        assert ask(path, host) == b""
        assert ask(f"http://{host}{path}", "127.0.0.1") == b""
    for host in ("127.0.0.1", f"localhost:{place.port}", "LOCALHOST"):
        assert code(ask(path, host))[0] == 200
    assert code(ask(f"http://127.0.0.1{path}", "127.0.0.1"))[0] == 200


def test_nobody_but_this_machine_reaches_the_proxies(places: dict[str, Place]) -> None:
    for kind in KINDS:
        with socket.socket() as other:
            other.bind(("127.0.0.2", places[kind].port))  # it would be taken


def test_nginx_gives_an_address_only_so_many_connections(places: dict[str, Place]) -> None:
    place = places["nginx"]
    with ExitStack() as stack:
        statuses = []
        for _ in range(21):
            body = {"message": "x", "on_disconnect": "cancel"}
            asked = httpx.stream("POST", f"{place.url}/chat", json=body, headers=key_of(place))
            statuses.append(stack.enter_context(asked).status_code)
    assert statuses == [200] * 20 + [429]


@pytest.mark.parametrize("kind", KINDS)
def test_no_header_makes_another_address_behind_a_shipped_proxy(serve_keys: ServeKeys, kind: str) -> None:
    server = serve_keys(RATE_LIMIT_ADDRESS="4/hour", FORWARDED_ALLOW_IPS="127.0.0.1")
    with reverse_proxy(kind, port := unused_port(), (server.port, server.port)):
        head = "POST /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        statuses = []
        for number in range(3):
            said = f"{head}X-Forwarded-For: 203.0.113.{number}\r\nForwarded: for=203.0.113.{number}\r\n\r\n"
            statuses.append(code(told(port, said.encode()))[0])
            behind = f"{head}Transfer-Encoding: chunked\r\nTrailer: X-Forwarded-For\r\n\r\n"
            behind += f"1\r\na\r\n0\r\nX-Forwarded-For: 203.0.113.{number}\r\n\r\n"
            statuses.append(code(told(port, behind.encode()))[0])
    assert statuses == [404] * 4 + [429] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_behind_a_shipped_proxy_the_server_wants_keys(serve: Callable[..., LiveServer], kind: str) -> None:
    server = serve()
    with reverse_proxy(kind, unused_port(), (server.port, server.port)) as url:
        assert code_of(httpx.get(f"{url}/sessions")) == (403, "forwarded_request")
