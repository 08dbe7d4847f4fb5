"""The response that reads a log, and the outermost layer that keeps it cheap.

`StreamResponse` sends the headers from inside FastAPI, through every middleware, and hands itself over.
When FastAPI's frames have unwound, `StreamingApp` lets a `StreamReader` write the body with the server's own
`send`: an event then resumes one shallow task and nothing of FastAPI's.
"""

import asyncio

import structlog
from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from domain.events import Event
from services.clocks import Clocks
from services.streaming_service import StreamingService
from stores.streams.base import Tail
from wires import Wire

log = structlog.get_logger("readers")

_BATCH_EVENTS = 256
_BATCH_BYTES = 64 * 1024
_BATCHES_BEFORE_OTHERS = 16

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class StreamResponse(Response):
    """Follows `tail` on `wire`, beginning after event number `after`."""

    def __init__(self, streams: StreamingService, tail: Tail, wire: Wire, after: int = 0) -> None:
        streams.admit(tail)
        self.status_code = 200
        self.background = None
        self.raw_headers = [*_HEADERS, (b"x-stream-id", tail.info.id.encode())]
        self._streams = streams
        self._tail = tail
        self._wire = wire
        self._after = after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _keep_alive(scope, self.raw_headers)
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        scope["streams"].append(self)

    def reader(self, send: Send) -> "StreamReader":
        """The reader that sends the body over `send`."""
        return StreamReader(self._streams, self._tail, self._wire, self._after, send)


class StaticStreamResponse(Response):
    """A whole event stream that is known beforehand."""

    def __init__(self, body: bytes, stream_id: str) -> None:
        super().__init__(body)
        self.raw_headers += [*_HEADERS, (b"x-stream-id", stream_id.encode())]


class StreamingApp(FastAPI):
    """FastAPI, with the layer around it that streams once FastAPI is done."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        handed: list[StreamResponse] = []
        # A copy of the scope, so that what FastAPI leaves in it is gone while the answer streams.
        await super().__call__({**scope, "streams": handed}, receive, send)
        if handed:
            await handed.pop().reader(send).run(receive)


class StreamReader:
    """One connection's way through one log. Its pump is the only writer of the connection."""

    __slots__ = (
        "_after",
        "_beat",
        "_encode",
        "_fed",
        "_heartbeat",
        "_owner",
        "_quiet",
        "_send",
        "_streams",
        "_stuck",
        "_tail",
        "_waiter",
    )

    def __init__(self, streams: StreamingService, tail: Tail, wire: Wire, after: int, send: Send) -> None:
        self._streams = streams
        self._tail = tail
        self._encode = wire.encoder(tail.info.id).encode
        self._heartbeat = wire.heartbeat
        self._after = after
        self._fed = 0 if wire.stateful else after
        self._send = send
        self._waiter: asyncio.Future[None] | None = None
        self._owner: asyncio.Task[None] | None = None
        self._beat = False
        self._quiet = 0  # ticks since the last byte
        self._stuck = -1  # ticks the current send has waited for the client; -1 between sends

    def wake(self) -> None:
        """The log has grown, or a heartbeat is due."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def tick(self, clocks: Clocks) -> bool:
        """Count a sweep: against the send time-out while a send waits, else against the heartbeat."""
        if self._stuck >= 0:
            self._stuck += 1
            if self._stuck > clocks.send:
                self.abort()
            return self._settle()
        self._quiet += 1
        if self._quiet < clocks.heartbeat:
            return False
        self._beat = True
        self.wake()
        return True

    def abort(self) -> None:
        """Drop the connection at once, unsent bytes and all: closing it would wait for the client for ever."""
        transport = getattr(getattr(self._send, "__self__", None), "transport", None)
        if transport is not None:
            transport.abort()
        elif self._owner is not None:  # a server that hides its transport closes on this
            self._owner.cancel()

    async def run(self, receive: Receive) -> None:
        """Send the stream until it ends or the client leaves. This task only waits for the latter."""
        self._streams.join(self._tail, self)
        self._owner = asyncio.current_task()
        pump = asyncio.create_task(self._pump(), name="pump")
        try:
            while (await receive())["type"] != "http.disconnect":
                pass  # the server says so as well when the response is complete
            if pump.done():
                await self._linger()
        finally:
            pump.cancel()
            await self._streams.leave(self._tail, self)

    async def _pump(self) -> None:
        try:
            await self._write()
        except Exception as error:
            log.error("a reader failed unforeseen", exc_info=error)
            self.abort()

    async def _write(self) -> None:
        tail = self._tail
        batches = 0
        while True:
            if self._fed < len(tail.events):
                body = self._take(tail.events)
            elif self._beat:
                body = self._heartbeat
            elif not tail.ended:
                self._waiter = waiter = asyncio.get_running_loop().create_future()
                await waiter
                continue
            else:
                body = b""
            self._beat = False
            last = tail.ended and self._fed >= len(tail.events)
            if body or last:
                self._stuck = 0
                await self._send({"type": "http.response.body", "body": body, "more_body": not last})
                self._stuck = -1
                self._quiet = 0
            if last:
                return
            batches = batches + 1 if self._fed < len(tail.events) else 0
            if batches == _BATCHES_BEFORE_OTHERS:  # a long replay: nothing above has to wait
                batches = 0
                await asyncio.sleep(0)

    def _take(self, events: list[Event]) -> bytes:
        """The next events as bytes: one, or as many as make a batch."""
        seq = self._fed + 1
        if seq == len(events):
            self._fed = seq
            block = self._encode(seq, events[seq - 1])
            return block if seq > self._after else b""
        blocks: list[bytes] = []
        size = 0
        for event in events[self._fed : self._fed + _BATCH_EVENTS]:
            block = self._encode(seq, event)
            self._fed = seq
            if seq > self._after:
                blocks.append(block)
                size += len(block)
                if size >= _BATCH_BYTES:
                    break
            seq += 1
        return b"".join(blocks)

    async def _linger(self) -> None:
        """Stay on the send clock until the client has taken the last bytes from the server's buffer."""
        if self._unsent():
            self._stuck = 0
            self._waiter = waiter = asyncio.get_running_loop().create_future()
            await waiter

    def _settle(self) -> bool:
        """End the lingering, if that is what goes on and nothing is left to wait for."""
        if self._waiter is not None and not self._unsent():
            self.wake()
            return True
        return False

    def _unsent(self) -> int:
        transport = getattr(getattr(self._send, "__self__", None), "transport", None)
        return 0 if transport is None or transport.is_closing() else transport.get_write_buffer_size()


def _keep_alive(scope: Scope, headers: list[tuple[bytes, bytes]]) -> None:
    """HTTP/1.1 alone has this header, and not where the client asked for the opposite."""
    if scope["http_version"] == "1.1":
        for name, value in scope["headers"]:
            if name == b"connection" and b"close" in value.lower():
                return
        headers.append((b"connection", b"keep-alive"))
