"""The connections of clients, and the reader that writes a stream to one of them."""

import asyncio

import structlog
from starlette.types import Receive, Send

from domain.events import Event
from routers.http.leaving import disconnected
from services.streaming_service import StreamingService
from services.streams.clocks import Clocks
from stores.streams.tail import Tail
from wires.table import AnyWire

log = structlog.get_logger("readers")

_BATCH_EVENTS = 256
_BATCH_BYTES = 64 * 1024
_BATCHES_BEFORE_OTHERS = 16


class ClientConnection:
    """A client's connection, on the send clock: it is dropped when it takes no bytes for that long."""

    __slots__ = ("_owner", "_send", "_stuck", "_unsent", "_waiter")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._owner = asyncio.current_task()
        self._waiter: asyncio.Future[None] | None = None
        self._unsent = 0  # bytes in the server's buffer at the last tick
        self._stuck = 0  # ticks for which they have stayed the same

    def tick(self, clocks: Clocks) -> None:
        """Count a sweep in which the client took none of the bytes that wait for it."""
        unsent = self._buffered()
        self._stuck = self._stuck + 1 if unsent and unsent == self._unsent else 0
        self._unsent = unsent
        if self._stuck > clocks.send:
            self.abort()
        if self._waiter is not None and not self._buffered():
            self.wake()

    def wake(self) -> None:
        """End the wait, if there is one."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def abort(self) -> None:
        """Drop the connection at once, with its unsent bytes: a close would wait for the client, perhaps for ever."""
        transport = self._transport()
        if transport is not None:
            transport.abort()
        elif self._owner is not None:  # a server that hides its transport closes on this
            self._owner.cancel()

    async def linger(self) -> None:
        """Stay on the clock until the client has taken the last bytes from the server's buffer."""
        if self._buffered():
            self._waiter = waiter = asyncio.get_running_loop().create_future()
            await waiter

    def _transport(self) -> asyncio.WriteTransport | None:
        """The connection behind uvicorn's `send`."""
        return getattr(getattr(self._send, "__self__", None), "transport", None)

    def _buffered(self) -> int:
        transport = self._transport()
        return 0 if transport is None or transport.is_closing() else transport.get_write_buffer_size()


class StreamReader(ClientConnection):
    """One connection's way through one log. Its pump is the only writer of the connection."""

    __slots__ = (
        "_after",
        "_beat",
        "_encode",
        "_fed",
        "_heartbeat",
        "_quiet",
        "_sending",
        "_streams",
        "key_id",
        "tail",
    )

    def __init__(
        self, streams: StreamingService, tail: Tail, wire: AnyWire, after: int, send: Send, key_id: str | None = None
    ) -> None:
        super().__init__(send)
        self._streams = streams
        self.tail = tail
        self.key_id = key_id
        self._encode = wire.encoder(tail.info.id).encode
        self._heartbeat = wire.heartbeat
        self._after = after
        self._fed = 0 if wire.stateful else after
        self._beat = False
        self._quiet = 0  # ticks since the last byte
        self._sending = False

    def tick(self, clocks: Clocks) -> None:
        """Count a sweep: against the send clock while bytes wait for the client, else against the heartbeat."""
        if self._sending or self.tail.ended:
            super().tick(clocks)
            return
        self._quiet += 1
        if self._quiet >= clocks.heartbeat:
            self._beat = True
            self.wake()

    def cut(self) -> None:
        """End a reader whose stream is lost here: an unfinished body makes the client come back."""
        self.abort()

    async def run(self, receive: Receive) -> None:
        """Send the stream until it ends or the client leaves. This task only waits for the client to leave."""
        self._streams.join(self.tail, self)
        pump = asyncio.create_task(self._pump(), name="pump")
        try:
            await disconnected(receive)
            if pump.done():
                await self.linger()
        finally:
            pump.cancel()
            await self._streams.leave(self.tail, self)

    async def _pump(self) -> None:
        try:
            await self._write()
        except Exception as error:
            log.error("a reader failed unexpectedly", exc_info=error)
            self.abort()

    async def _write(self) -> None:
        tail = self.tail
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
                self._sending = True
                await self._send({"type": "http.response.body", "body": body, "more_body": not last})
                self._sending = False
                self._quiet = 0
            if last:
                return
            batches = batches + 1 if self._fed < len(tail.events) else 0
            if batches == _BATCHES_BEFORE_OTHERS:  # a long replay, in which nothing above waits
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
