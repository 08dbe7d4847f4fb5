"""Which servers are accepted, and what is said about the others."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from stores.streams.shared.connection import check_url
from tests.stores.streams.logs import info, shared_log
from tests.support.server import ROOT
from tests.support.valkey import RedisServer, redis_server


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379",
        "redis://localhost",
        "redis://[::1]:6379/1",
        "redis://127.8.9.10",
        "redis://:secret@redis.example:6379",
        "rediss://user:secret@redis.example",
        "unix:///run/redis.sock",
    ],
)
def test_an_address_that_is_near_or_has_a_password_is_taken(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url", ["redis://redis.example", "redis://10.0.0.1:6379", "rediss://user@redis.example", "redis://localhost.evil"]
)
def test_another_machines_redis_without_a_password_is_refused_unless_asked_for(url: str) -> None:
    with pytest.raises(ValueError, match="no password"):
        check_url(url)
    check_url(url, insecure=True)


def test_what_is_no_address_of_a_redis_is_refused() -> None:
    with pytest.raises(ValueError, match="must begin with redis://"):
        check_url("http://localhost")


async def test_a_prefix_that_could_be_mistaken_is_refused(valkey: RedisServer) -> None:
    with pytest.raises(ValueError, match="REDIS_PREFIX"):
        async with shared_log(valkey.url, prefix="{a}"):
            pass


async def test_a_wrong_password_is_said_at_the_start() -> None:
    with redis_server("valkey", "--requirepass", "secret") as server:
        with pytest.raises(ValueError, match="refuses the user or the password"):
            async with shared_log(server.url):
                pass
        async with shared_log(server.url.replace("//", "//:secret@")) as log:
            assert (await log.open(info())).shared


@pytest.mark.parametrize(("policy", "warned"), [("allkeys-lru", True), ("noeviction", False)])
def test_a_server_that_may_evict_is_warned_of(policy: str, warned: bool) -> None:
    code = """
import asyncio
from tests.stores.streams.logs import shared_log
async def main(url):
    async with shared_log(url):
        pass
asyncio.run(main({url!r}))
"""
    with redis_server("valkey", "--maxmemory-policy", policy) as server:
        command = [sys.executable, "-c", code.format(url=server.url)]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert ("Set maxmemory-policy to noeviction" in said) is warned


@asynccontextmanager
async def fake(*facts: str) -> AsyncIterator[str]:
    """Something that says of itself what a test wants said."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while command := await reader.read(65_536):
            said = "\r\n".join(facts) if b"INFO" in command else "OK"
            writer.write(f"${len(said)}\r\n{said}\r\n".encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (["redis_version:6.2.14", "redis_mode:standalone"], "Redis 6.2.14 is too old"),
        (["redis_version:7.0.1", "redis_mode:cluster"], "Redis Cluster"),
        (["something:else"], "Redis unknown is too old"),
    ],
)
async def test_a_server_that_lacks_what_is_needed_is_refused_with_a_sentence(facts: list[str], sentence: str) -> None:
    async with fake(*facts) as url:
        with pytest.raises(ValueError, match=sentence):
            async with shared_log(url):
                pass


def test_the_log_is_imported_without_redis() -> None:
    code = "import sys, stores.streams.shared.log; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
