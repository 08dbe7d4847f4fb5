"""The load generator, a process of its own: opens streams at a steady pace, and checks every word of each.

While streams run, it only stores the data and the times at which they arrive. It parses after the last one has ended,
so that it takes little from a server on the same small machine. It reads a `Plan` as JSON from its command line and
reports events as JSON lines: `live` (every stream has its first byte), `ending` (the first has ended), `done`.
"""

import asyncio
import gc
import json
import re
import sys
import time
from bisect import bisect_left
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Self, cast
from uuid import uuid4

import uvloop

_LAST_CHUNK = b"0\r\n\r\n"
_BLOCKS = {
    "text": re.compile(rb"data: ([^\r\n]*)\r?\n\r?\n"),
    "events": re.compile(rb'event: delta\ndata: \{"text":"([^"]*)"\}\nid: [^\n]*\n\n'),
    "openai": re.compile(rb'data: \{"id":[^\n]*,"delta":\{"content":"([^"]+)"\},"finish_reason":null\}\]\}\n\n'),
    "ai_sdk": re.compile(rb'data: \{"type":"text-delta","id":"[^"]*","delta":"([^"]*)"\}\n\n'),
    "ag_ui": re.compile(rb'data: \{"type":"TEXT_MESSAGE_CONTENT","messageId":"[^"]*","delta":"([^"]*)"\}\n\n'),
}
_OWN_ID = b"{id}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The streams to open: `streams` of them, evenly over `opening` seconds.

    With `hold`, they are dropped that many seconds after the last one has begun. `{id}` in the `body` is replaced by a
    different text of 32 characters for every stream.
    """

    port: int
    path: str
    wire: str
    text: str
    delay: float
    streams: int
    opening: float
    hold: float = 0.0
    body: str = '{"message":"Tell me about streaming"}'
    limit: float = 120.0

    def dumps(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Self:
        return cls(**json.loads(text))


class Stream(asyncio.Protocol):
    """One connection: the data that has arrived, and the times at which it did."""

    __slots__ = ("begun", "ended", "load", "parts", "times", "transport")

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.begun = time.perf_counter()
        self.times: list[float] = []
        self.parts: list[bytes] = []
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop has a class of its own
        self.transport.write(self.load.request())

    def data_received(self, data: bytes) -> None:
        times = self.times
        times.append(time.perf_counter())
        self.parts.append(data)
        if len(times) == 1:
            self.load.one_live()
        if data.endswith(_LAST_CHUNK):
            self._end()

    def connection_lost(self, _: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self.ended:
            self.ended = True
            self.load.one_ended()
            self.transport.close()


class Load:
    """All streams of one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.streams: list[Stream] = []
        self._live = 0
        self._ended = 0
        self._all_live = asyncio.Event()
        self._all_ended = asyncio.Event()
        body = plan.body.encode()
        length = len(body.replace(_OWN_ID, b"0" * 32))
        self._request = (
            f"POST {plan.path} HTTP/1.1\r\nhost: 127.0.0.1:{plan.port}\r\n"
            f"content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        ).encode() + body

    def request(self) -> bytes:
        """The request that opens a stream."""
        return self._request.replace(_OWN_ID, uuid4().hex.encode())

    def one_live(self) -> None:
        self._live += 1
        if self._live == self.plan.streams:
            tell("live")
            self._all_live.set()

    def one_ended(self) -> None:
        if self._ended == 0 and not self.plan.hold:
            tell("ending")
        self._ended += 1
        if self._ended == self.plan.streams:
            self._all_ended.set()

    async def run(self) -> dict[str, Any]:
        begun, cpu = time.perf_counter(), time.process_time()
        await self._open(begun)
        if self.plan.hold:
            await self._all_live.wait()
            pings = await self._ping(self.plan.hold)
            failed = sum(stream.ended or not stream.parts[0].startswith(b"HTTP/1.1 200 ") for stream in self.streams)
            return {"ping": p99(pings), "failed": failed}
        await self._all_ended.wait()
        took = time.perf_counter() - begun
        busy = (time.process_time() - cpu) / took
        return {"seconds": took, "client_busy": busy, **self._verify()}

    async def _open(self, begun: float) -> None:
        loop = asyncio.get_running_loop()
        plan = self.plan
        waiting: set[asyncio.Task[Any]] = set()
        for number in range(plan.streams):
            await asyncio.sleep(max(0.0, begun + number * plan.opening / plan.streams - time.perf_counter()))
            stream = Stream(self)
            self.streams.append(stream)

            async def connect(stream: Stream = stream) -> None:
                await loop.create_connection(lambda: stream, "127.0.0.1", plan.port)

            task = asyncio.create_task(connect())
            waiting.add(task)
            task.add_done_callback(waiting.discard)
        await asyncio.gather(*waiting)

    async def _ping(self, seconds: float) -> list[float]:
        """Request /health every 20 ms on one kept connection; returns the latencies in seconds."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.plan.port)
        latencies = []
        for _ in range(int(seconds / 0.02)):
            begun = time.perf_counter()
            writer.write(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            assert length is not None
            assert b" 200 " in head
            await reader.readexactly(int(length[1]))
            latencies.append(time.perf_counter() - begun)
            await asyncio.sleep(0.02 - latencies[-1] % 0.02)
        writer.close()
        return latencies

    def _verify(self) -> dict[str, Any]:
        """Check every word of every stream; returns the times to first bytes, since connecting began, and lateness.

        The lateness of word n of a stream is its time, less the time of the first word plus n delays.
        """
        words = self.plan.text.encode().split()
        failed, firsts, lateness = 0, [], []
        for stream in self.streams:
            whole = b"".join(stream.parts)
            blocks = list(_BLOCKS[self.plan.wire].finditer(whole))
            if [block[1].strip() for block in blocks] != words or not whole.endswith(_LAST_CHUNK):
                failed += 1
                continue
            firsts.append(stream.times[0] - stream.begun)
            lateness += _lateness(stream, [block.end() for block in blocks], self.plan.delay)
        middle = median(firsts) if firsts else 0.0
        first = {"first": p99(firsts), "first_p50": middle}
        return {"failed": failed, "events": len(lateness), **first, "late": p99(lateness)}


def _lateness(stream: Stream, ends: list[int], delay: float) -> list[float]:
    received, total = [], 0
    for part in stream.parts:
        total += len(part)
        received.append(total)
    moments = [stream.times[bisect_left(received, end)] for end in ends]
    return [moment - moments[0] - number * delay for number, moment in enumerate(moments)]


def p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)] if values else 0.0


def tell(event: str, **facts: Any) -> None:
    print(json.dumps({"event": event, **facts}), flush=True)


async def main(plan: Plan) -> None:
    async with asyncio.timeout(plan.limit):
        tell("done", **await Load(plan).run())


if __name__ == "__main__":
    gc.disable()
    uvloop.run(main(Plan.loads(sys.argv[1])))
