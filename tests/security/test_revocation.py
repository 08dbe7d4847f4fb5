"""T25: a revoked key ends what runs under it, and who reads under it; others' go on."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from services.access.api_keys import MadeKey
from tests.journeys.streams.test_reading import code_of
from tests.security.conftest import ServeKeys
from tests.support.keys import KeyRing, bearer
from tests.support.server import LiveServer, wait_for
from tests.support.sse import parse

SLOW = {"STREAM_DELAY": 60, "DRAIN_TIMEOUT": 0}


@contextmanager
def stream(server: LiveServer, key: MadeKey, stream_id: str | None = None) -> Iterator[tuple[str, httpx.Response]]:
    """A stream that has said one word and then is silent, or a further reader of it."""
    verb, path, body = ("GET", f"/streams/{stream_id}", None) if stream_id else ("POST", "", {"message": "x"})
    url, params = f"{server.url}/chat{path}", {"format": "events"}
    with httpx.stream(verb, url, params=params, json=body, headers=bearer(key), timeout=30) as response:
        assert response.status_code == 200
        yield response.headers["x-stream-id"], response


def state_of(server: LiveServer, key: MadeKey, stream_id: str) -> dict[str, Any]:
    """What its owner sees of a stream."""
    headers = {**bearer(key), "accept": "application/json"}
    return httpx.get(f"{server.url}/chat/streams/{stream_id}", headers=headers).json()  # type: ignore[no-any-return]


def test_a_revoked_key_ends_its_streams_within_ten_seconds_and_no_others(serve_keys: ServeKeys, ring: KeyRing) -> None:
    server = serve_keys(**SLOW)
    bad, good = ring.make("ann"), ring.make("ann")
    grandchild = ring.make("ann", parent=ring.make("ann", parent=bad.key.id).key.id)
    with (
        stream(server, bad) as (stream_id, response),
        stream(server, grandchild) as (_, response_to_grandchild),
        stream(server, good) as (other_id, _),
    ):
        begun = time.monotonic()
        ring.revoke(bad.key.id)
        for ended in (response, response_to_grandchild):
            messages = parse(ended.read())
            assert time.monotonic() - begun < 10
            assert (messages[-1].event, json.loads(messages[-1].data)["reason"]) == ("cancelled", "revoked")
        state = state_of(server, good, stream_id)
        assert (state["state"], state["reason"]) == ("cancelled", "revoked")
        other = state_of(server, good, other_id)
        assert other["state"] == "running"
        assert code_of(httpx.get(f"{server.url}/models", headers=bearer(bad))) == (401, "unauthenticated")


def test_who_reads_under_a_revoked_key_is_cut_and_the_stream_goes_on(serve_keys: ServeKeys, ring: KeyRing) -> None:
    server = serve_keys(**SLOW)
    bad, good = ring.make("ann"), ring.make("ann")
    with stream(server, good) as (stream_id, _), stream(server, bad, stream_id) as (_, response):
        begun = time.monotonic()
        ring.revoke(bad.key.id)
        with pytest.raises(httpx.RemoteProtocolError):
            response.read()
        assert time.monotonic() - begun < 10
        state = state_of(server, good, stream_id)
        assert state["state"] == "running"


def test_a_key_that_expires_ends_its_streams_too(serve_keys: ServeKeys, ring: KeyRing) -> None:
    server = serve_keys(**SLOW)
    with stream(server, ring.make("ann", seconds=5)) as (_, response):
        assert json.loads(parse(response.read())[-1].data)["reason"] == "revoked"


def test_another_cannot_stop_a_running_stream_and_its_owner_can(serve_keys: ServeKeys, ring: KeyRing) -> None:
    server = serve_keys(**SLOW)
    ann, eve = ring.make("ann"), ring.make("eve")
    with stream(server, ann) as (stream_id, response):
        url = f"{server.url}/chat/streams/{stream_id}"
        assert code_of(httpx.post(f"{url}/cancel", headers=bearer(eve))) == (404, "stream_not_found")
        assert code_of(httpx.get(url, headers=bearer(eve))) == (404, "stream_not_found")
        assert state_of(server, ann, stream_id)["state"] == "running"
        assert httpx.post(f"{url}/cancel", headers=bearer(ann)).status_code == 202
        response.read()


def test_without_keys_in_use_nothing_is_asked(serve_keys: ServeKeys, ring: KeyRing) -> None:
    server = serve_keys()
    key = ring.make("ann")
    with stream(server, key) as (_, response):
        response.read()
    wait_for(lambda: not server.services.readers.key_ids())
