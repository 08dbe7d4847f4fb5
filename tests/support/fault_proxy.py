"""A TCP proxy inside the test's event loop that simulates faults of the network."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FaultProxy:
    """Forwards connections to a port of this machine. All faults may be set, and taken back, at any time.

    `delay`: seconds that every piece of an answer waits. `hold`: nothing is forwarded either way, nothing is lost.
    `deaf`: what clients send is swallowed. `cut_in`: bytes of answers after which the connection that gives the next
    one is cut; the request has then arrived, so with 0 a whole reply is lost.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.port = 0
        self.delay = 0.0
        self.deaf = False
        self.cut_in: int | None = None
        self.cuts = 0

    @property
    def url(self) -> str:
        """The way to Redis, through the proxy."""
        return f"redis://127.0.0.1:{self.port}"

    def hold(self) -> None:
        """Stop forwarding."""
        self._open.clear()

    def release(self) -> None:
        """Continue forwarding."""
        self._open.set()

    def reset(self) -> None:
        """Cut every connection with a RST."""
        for writer in list(self._writers):
            _reset(writer)

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening, and close all connections."""
        assert self._server is not None
        self._server.close()
        self._open.set()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        forward = asyncio.create_task(self._forward(reader, up_writer))
        answer = asyncio.create_task(self._answer(up_reader, writer))
        try:
            await asyncio.wait({forward, answer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (forward, answer):
                task.cancel()
            for end in (writer, up_writer):
                self._writers.discard(end)
                end.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65_536):
                await self._open.wait()
                if not self.deaf:
                    writer.write(piece)
                    await writer.drain()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65_536):
                await self._open.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                if self.cut_in is not None:
                    if len(piece) >= self.cut_in:
                        writer.write(piece[: self.cut_in])
                        self.cut_in = None
                        self.cuts += 1
                        return
                    self.cut_in -= len(piece)
                writer.write(piece)
                await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def fault_proxy(target: int) -> AsyncIterator[FaultProxy]:
    """A proxy in front of the port `target`, stopped at the end."""
    proxy = FaultProxy(target)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()
