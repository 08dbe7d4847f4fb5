"""T22, T29: whatever is written into a path, a header, a name or an owner, each line of the log is one record."""

import json
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.effort import examples
from tests.support.keys import KeyRing, bearer
from tests.support.server import Process, process_server

ODD = st.text(max_size=60) | st.sampled_from(
    [
        "\r\n{}",
        "\x1b[2J\x1b]0;x\x07",
        "\u2028\u2029\x85",
        "\u202e\u2066txt",
        '"}\n{"event":"forged"}',
        "%0d%0a{}",
        "\x00",
    ]
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, str, KeyRing]]:
    ring = KeyRing(tmp_path_factory.mktemp("logs") / "data")
    with process_server(
        [sys.executable, "main.py"], AUTH_MODE="api_key", DATA_DIR=str(ring.folder), LOG_LEVEL="DEBUG", STREAM_DELAY="0"
    ) as (process, url):
        yield process, url, ring


@given(path=ODD, header=ODD, name=ODD, owner=ODD)
@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
def test_every_line_is_one_record(
    running: tuple[Process, str, KeyRing], path: str, header: str, name: str, owner: str
) -> None:
    process, url, ring = running
    writable = "".join(each for each in owner if each != "\x00" and not "\ud800" <= each <= "\udfff")
    key = bearer(ring.make(writable or "x"))
    value = header.encode("utf-8", "surrogatepass").translate(None, b"\r\n\x00\x0b\x0c").strip()
    quoted = urllib.parse.quote(path.encode("utf-8", "surrogatepass"))
    with httpx.Client(base_url=url) as client:
        for verb, target, body in (
            ("GET", f"/{quoted}", None),
            ("GET", f"/models/{quoted}", None),
            ("DELETE", f"/keys/{quoted}", None),
            ("POST", "/keys", json.dumps({"name": name})),
            ("POST", "/chat", json.dumps({"message": "x", "model": name or "x"})),
        ):
            plain = [(word.encode(), text.encode()) for word, text in key.items()]
            odd = [(word, value) for word in (b"x-request-id", b"user-agent", b"x-forwarded-for", b"last-event-id")]
            client.request(verb, target, content=body, headers=[*plain, (b"content-type", b"application/json"), *odd])
        last = client.get("/health", headers={"x-request-id": "the-last-one"})
    assert last.headers["x-request-id"] == "the-last-one"
    seen = 0
    for line in process.log:
        record = json.loads(line)
        assert record["event"] not in ("forged",)
        assert line.endswith("\n")
        assert not any(each in line[:-1] for each in ("\n", "\r", "\x1b", "\x00", "\x07"))
        seen += 1
    assert seen


def test_the_log_holds_no_key(running: tuple[Process, str, KeyRing], tmp_path: Path) -> None:
    process, url, ring = running
    key = ring.make("ann")
    httpx.get(f"{url}/models", params={"access_token": key.text}, headers={"authorization": f"Basic {key.text}"})
    httpx.post(f"{url}/keys", json={}, headers=bearer(key))
    process.wait_for_event("request")
    assert key.text.split("_")[2] not in "".join(process.log)
