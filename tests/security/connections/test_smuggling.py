"""T44: whatever is wrong with the length of a body, what is inside of it is never served as a request of its own."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from tests.security.connections.conftest import Place
from tests.support.server import wait_for
from tests.support.sockets import connected

pytestmark = pytest.mark.xdist_group("connections")

INSIDE = b"GET /inside-%d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
END = b"0\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
HAS = b"Content-Length: %d"

# What the head says of the body, and the body: %i stands for the request inside, of which %n is the length, %x in hex.
CASES: dict[str, tuple[bytes, bytes]] = {
    "both, chunks first": (b"%l\r\n" + CHUNKED, END + b"%i"),
    "both, length first": (CHUNKED + b"\r\nContent-Length: 4", b"%x\r\n%i\r\n" + END),
    "chunked twice": (CHUNKED + b"\r\n" + CHUNKED, END + b"%i"),
    "chunked and identity": (CHUNKED + b"\r\nTransfer-Encoding: identity\r\n%l", END + b"%i"),
    "identity, chunked": (b"Transfer-Encoding: identity, chunked\r\n%l", END + b"%i"),
    "chunked, identity": (b"Transfer-Encoding: chunked, identity\r\n%l", END + b"%i"),
    "gzip, chunked": (b"Transfer-Encoding: gzip, chunked\r\n%l", END + b"%i"),
    "xchunked": (b"Transfer-Encoding: xchunked\r\n%l", END + b"%i"),
    "chunkedx": (b"Transfer-Encoding: chunkedx\r\n%l", END + b"%i"),
    "a blank before the colon": (b"Transfer-Encoding : chunked\r\n%l", END + b"%i"),
    "a tab before the value": (b"Transfer-Encoding:\tchunked\r\n%l", END + b"%i"),
    "a vertical tab": (b"Transfer-Encoding:\x0bchunked\r\n%l", END + b"%i"),
    "a NUL": (b"Transfer-Encoding: chunked\x00\r\n%l", END + b"%i"),
    "quotes": (b'Transfer-Encoding: "chunked"\r\n%l', END + b"%i"),
    "capitals": (b"TRANSFER-ENCODING: CHUNKED\r\n%l", END + b"%i"),
    "a folded line": (b"Transfer-Encoding:\r\n chunked\r\n%l", END + b"%i"),
    "a field behind a line feed": (b"X: y\nTransfer-Encoding: chunked\r\n%l", END + b"%i"),
    "a field behind a carriage return": (b"X: y\rTransfer-Encoding: chunked\r\n%l", END + b"%i"),
    "an underscore": (b"Transfer_Encoding: chunked\r\n%l", END + b"%i"),
    "two lengths": (b"Content-Length: 0\r\n%l", b"%i"),
    "two lengths, the other way": (b"%l\r\nContent-Length: 0", b"%i"),
    "a list of lengths": (b"Content-Length: 0, %n", b"%i"),
    "a length with a sign": (b"Content-Length: +%n", b"%i"),
    "a length below nothing": (b"Content-Length: -%n", b"%i"),
    "a length in hex": (b"Content-Length: 0x0", b"%i"),
    "a length with a blank": (b"Content-Length: 0 0", b"%i"),
    "a length with an underscore": (b"Content-Length: 1_0", b"%i"),
    "a length of zeros": (b"Content-Length: 000%n", b"%i"),
    "a length without end": (b"Content-Length: 99999999999999999999", b"%i"),
    "a length that the connection drops": (b"Connection: close, Content-Length\r\n%l", b"%i"),
    "chunks that the connection drops": (b"Connection: close, Transfer-Encoding\r\n" + CHUNKED, b"%x\r\n%i\r\n" + END),
    "a chunk with a sign": (CHUNKED, b"+%x\r\n%i\r\n" + END),
    "a chunk with 0x": (CHUNKED, b"0x%x\r\n%i\r\n" + END),
    "a chunk larger than numbers": (CHUNKED, b"1000000000000000000\r\n%i\r\n" + END),
    "a chunk with a blank": (CHUNKED, b"%x \r\n%i\r\n" + END),
    "an extension with a line feed": (CHUNKED, b"%x;a\nb\r\n%i\r\n" + END),
    "chunks with line feeds": (CHUNKED, b"%x\n%i\n0\n\n"),
    "a chunk that is longer than it says": (CHUNKED, b"1\r\nab%i\r\n" + END),
    "a trailer": (CHUNKED, b"1\r\na\r\n0\r\nContent-Length: 0\r\nX: %i"),
    "another protocol": (b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n%l", b"%i"),
    "a body that is asked for": (b"Expect: 100-continue\r\n%l", b"%i"),
    "a body that is too large": (b"Content-Length: 99000000", b"%i"),
}
VERBS = ("POST", "GET")


def request(verb: str, number: int, head: bytes, body: bytes) -> bytes:
    inside = INSIDE % number
    filled = [
        part.replace(b"%i", inside).replace(b"%n", b"%d" % len(inside)).replace(b"%x", b"%x" % len(inside))
        for part in (head, body)
    ]
    fields = filled[0].replace(b"%l", HAS % len(filled[1]))
    return b"%s /outside-%d HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n\r\n%s" % (verb.encode(), number, fields, filled[1])


def ask(place: Place, sent: bytes) -> bytes:
    """Send it, and wait until nothing comes any more: some of them leave the server waiting for the rest."""
    heard = b""
    with connected(place.port) as client, suppress(ConnectionError, TimeoutError):
        client.sendall(sent)
        client.settimeout(3)  # the clocks run out before
        while part := client.recv(65_536):
            heard += part
    return heard


def test_what_is_in_a_body_is_never_a_request(place: Place) -> None:
    """Caddy takes a length beside chunks as if it were not there, as it may. What follows the chunks is then a request
    of the same client, which is answered for it, and nobody else is. A GET that fails it repeats."""
    begin = {"bare": 0, "nginx": 1_000, "caddy": 2_000}[place.kind]
    requests = {
        begin + number: (f"{verb}, {name}", request(verb, begin + number, *CASES[name]))
        for number, (verb, name) in enumerate((verb, name) for verb in VERBS for name in CASES)
    }
    with ThreadPoolExecutor(16) as pool:
        heard = dict(zip(requests, pool.map(lambda each: ask(place, each[1]), requests.values()), strict=True))
    for number in range(10):  # over connections that the proxy keeps: nobody is given what is another's
        answer = httpx.get(f"{place.url}/last-{begin + number}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    wait_for(lambda: f"/last-{begin + 9}" in [record["path"] for record in place.requests()])
    seen = place.requests()
    served = 0
    for number, (name, _) in requests.items():
        outside, inside = ([r for r in seen if r["path"] == f"/{part}-{number}"] for part in ("outside", "inside"))
        served += len(outside)
        assert len(outside) <= 1 or (name.startswith("GET") and place.kind == "caddy"), name
        assert not inside or place.kind == "caddy", name
        for record in inside:
            assert record["request_id"].encode() in heard[number], f"{name}: it was answered to somebody else"
    assert served > len(VERBS), "some are good requests"
