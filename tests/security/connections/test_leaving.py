"""T11: a client that hangs up in the middle of a body is nothing unexpected, and leaves nothing behind."""

import json

import pytest

from tests.security.connections.conftest import Place
from tests.support.server import wait_for
from tests.support.sockets import connected

pytestmark = pytest.mark.xdist_group("connections")

JSON = "Content-Type: application/json"
FORM = "Content-Type: multipart/form-data; boundary=b"
BODIES = {
    "/sessions": (JSON, b'{"title": '),
    "/ag-ui": (JSON, b'{"threadId": '),
    "/v1/chat/completions": (JSON, b'{"messages": '),
    "/documents/upload": (FORM, b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nabc'),
    "/v1/files": (FORM, b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nabc'),
}


@pytest.mark.parametrize("path", BODIES)
def test_who_leaves_in_the_middle_of_a_body_is_no_trouble(places: dict[str, Place], path: str) -> None:
    place = places["bare"]
    before, lines = place.descriptors(), len(place.process.log)
    kind, body = BODIES[path]
    with connected(place.port) as client:
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{place.key}{kind}\r\nContent-Length: 90000\r\n\r\n"
        client.sendall(head.encode() + body)
    wait_for(lambda: any(record["path"] == path for record in place.requests(lines)))
    (record,) = (record for record in place.requests(lines) if record["path"] == path)
    assert record["status"] == 0, "nobody was there to be answered"
    told = [json.loads(line) for line in place.process.log[lines:]]
    assert [each for each in told if each["level"] == "error"] == []
    wait_for(lambda: place.descriptors() <= before + 2)
