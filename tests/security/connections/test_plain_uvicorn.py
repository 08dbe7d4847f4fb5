"""T11: what holds under `uvicorn main:app`: all that the application itself can see, and with `--http` the rest."""

import re
import sys
from collections.abc import Iterator

import pytest

from tests.support.server import running
from tests.support.sockets import code, connected, poured, rest, told

UVICORN = [sys.executable, "-m", "uvicorn", "main:app", "--port", "0", "--no-proxy-headers"]
HTTP = ["--http", "routers.http.limits.httptools_protocol:BoundedHttpTools"]
HEAD = b"Host: localhost\r\nConnection: close\r\n"
MIB = 1024 * 1024


def served(*options: str) -> Iterator[int]:
    with running([*UVICORN, *options], AUTH_MODE="api_key", RATE_LIMIT_ADDRESS="100/hour") as process:
        found = re.search(r":([0-9]+) ", process.wait_for_event("Uvicorn running")["event"])
        assert found is not None
        yield int(found[1])


@pytest.fixture(scope="module")
def plain() -> Iterator[int]:
    yield from served()


@pytest.fixture(scope="module")
def bounded() -> Iterator[int]:
    yield from served(*HTTP)


def test_a_head_that_is_too_large_is_refused_in_the_shape_of_its_wire(plain: int) -> None:
    fields = b"".join(b"a%d: b\r\n" % number for number in range(100))
    for more in (fields, b"a: " + b"b" * 65_536 + b"\r\n"):
        assert code(told(plain, b"GET /health HTTP/1.1\r\n" + HEAD + more + b"\r\n")) == (431, "head_too_large")
    answer = told(plain, b"GET /v1/models HTTP/1.1\r\n" + HEAD + fields + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 431")
    assert b'"error":{' in answer


def test_the_guard_comes_before_the_body(plain: int) -> None:
    head = b"POST /chat HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\nContent-Length: 900000\r\n\r\n"
    assert code(told(plain, head + b"{")) == (401, "unauthenticated")
    with connected(plain) as client:
        client.sendall(head.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert b"100 Continue" not in rest(client)


def test_an_option_brings_the_limits_on_heads(bounded: int) -> None:
    sent, heard = poured(bounded, b"GET / HTTP/1.1\r\n" + HEAD, b"a: b\r\n" * 10_000, 64 * MIB)
    assert sent < 16 * MIB
    assert not heard or code(heard) == (431, "head_too_large")
    assert code(told(bounded, b"GET /health HTTP/1.1\r\n" + HEAD + b"\r\n")) == (200, None)
