"""Ten thousand people wait for their next word on one process (F21)."""

import asyncio
import contextlib
import resource
from typing import Any

import httpx
import psutil
import pytest

from tests.support.server import process_server

CROWD = 10_000
REQUEST = (
    b"POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"
    b'{"message": "x"}'
)


class Waiting(asyncio.Protocol):
    """One client: notes when its first word has come, and whether its body ended cleanly."""

    def __init__(self) -> None:
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.last: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        self._body += data
        if b"data: " in self._body and not self.first.done():
            self.first.set_result(None)
        if self._body.endswith(b"0\r\n\r\n") and not self.last.done():
            self.last.set_result(self._body)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        for future in (self.first, self.last):
            if not future.done():
                future.set_exception(exc or ConnectionError("closed early"))


async def gather_crowd(port: int) -> list[Waiting]:
    loop = asyncio.get_running_loop()
    crowd: list[Waiting] = []
    while len(crowd) < CROWD:
        batch = [loop.create_connection(Waiting, "127.0.0.1", port) for _ in range(100)]
        joined = [protocol for _, protocol in await asyncio.gather(*batch)]
        await asyncio.gather(*(client.first for client in joined))
        crowd += joined
    return crowd


@pytest.fixture
def many_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CROWD + 1_000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this machine allows {hard} open files, not {wanted}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


@pytest.mark.usefixtures("many_descriptors")
async def test_ten_thousand_idle_streams_are_all_served_and_all_ended() -> None:
    settings: dict[str, Any] = {
        "STREAM_DELAY": 60,
        "SIMULATED_TEXT": "one two",
        "DRAIN_TIMEOUT": 0,
    }
    with contextlib.ExitStack() as stack:
        process, url = await asyncio.to_thread(stack.enter_context, process_server(**settings))
        server = psutil.Process(process.popen.pid)
        empty = server.memory_info().rss
        async with asyncio.timeout(120):
            crowd = await gather_crowd(int(url.rpartition(":")[2]))
            each = (server.memory_info().rss - empty) / CROWD
            assert each < 40_000, f"{each:.0f} bytes a stream"
            answer = await asyncio.to_thread(httpx.get, f"{url}/health", timeout=30)
            assert answer.status_code == 200
            process.popen.terminate()
            bodies = await asyncio.gather(*(client.last for client in crowd))
        assert all(b"data: one " in body and b"event: error" in body for body in bodies)
