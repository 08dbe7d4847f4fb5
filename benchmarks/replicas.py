"""Two servers that share a log: resumes streams of one on the other."""

import asyncio
import re
import time
from contextlib import AsyncExitStack
from statistics import median

from benchmarks.client import p99
from benchmarks.server import Contender, serving, valkey

SHARED = Contender("redis", "StreamForge, its log in Valkey", redis=True)
_TEXT = " ".join(f"{number}th" for number in range(200))
_SETTINGS = {"SIMULATED_TEXT": _TEXT, "STREAM_DELAY": "0.1"}
_EVERY = 0.02


async def resume_elsewhere(streams: int) -> dict[str, float]:
    """Open streams on one server, resume each on the other after its first word, and time its first event there."""
    async with AsyncExitStack() as stack:
        settings = {**_SETTINGS, "REDIS_URL": await stack.enter_async_context(valkey())}
        first = await stack.enter_async_context(serving(SHARED, settings))
        second = await stack.enter_async_context(serving(SHARED, settings))
        opened = [await _open(first.port) for _ in range(streams)]
        await asyncio.sleep(1)
        waits = []
        for stream_id, _ in opened:
            waits.append(await _resume(second.port, stream_id))
            await asyncio.sleep(_EVERY)
        for _, writer in opened:
            writer.close()
    return {"first_p50_ms": median(waits) * 1e3, "first_ms": p99(waits) * 1e3}


async def _open(port: int) -> tuple[str, asyncio.StreamWriter]:
    body = b'{"message":"hello"}'
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /chat?format=events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%s" % (len(body), body)
    )
    head = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"x-stream-id: ([0-9a-f]{32})", head)
    assert found is not None, head
    return found[1].decode(), writer


async def _resume(port: int, stream_id: str) -> float:
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /chat/streams/{stream_id}?after=2 HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    await reader.readuntil(f"id: {stream_id}-3".encode())
    waited = time.perf_counter() - begun
    writer.close()
    return waited
