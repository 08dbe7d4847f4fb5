"""The response that reads a log, and the outermost layer that keeps it cheap.

`StreamResponse` sends the headers from inside FastAPI, through every middleware, and hands itself over.
When FastAPI's frames have unwound, `StreamingApp` lets a `StreamReader` write the body with the server's own
`send`: an event then resumes one shallow task and nothing of FastAPI's.
"""

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from domain.errors import StreamForgeError
from routers.deps import services_of
from routers.streams.connections import ClientConnection, StreamReader
from services.streaming_service import StreamingService
from stores.streams.tail import Tail
from wires.table import AnyWire

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
"""The headers of every event stream."""
_LOOK_SECONDS = 0.5
_LOOKS_A_BEAT = 10

FindLog = Callable[[], Awaitable[Tail | bytes | None]]


class StreamResponse(Response):
    """Follows `tail` on `wire`, beginning after event number `after`."""

    def __init__(
        self, streams: StreamingService, tail: Tail, wire: AnyWire, after: int = 0, *, replayed: bool = False
    ) -> None:
        streams.admit(tail)
        self.status_code = 200
        self.background = None
        self.raw_headers = [*HEADERS, *wire.headers, (b"x-stream-id", tail.info.id.encode())]
        if tail.info.session_id:
            self.raw_headers.append((b"x-session-id", tail.info.session_id.encode()))
        if replayed:
            self.raw_headers.append((b"idempotent-replayed", b"true"))
        self._streams = streams
        self._tail = tail
        self._wire = wire
        self._after = after
        self._key_id: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._key_id = scope["caller"].key_id
        keep_alive(scope, self.raw_headers)
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        scope["streams"].append(self)

    async def follow(self, receive: Receive, send: Send) -> None:
        """Send the body."""
        await StreamReader(self._streams, self._tail, self._wire, self._after, send, self._key_id).run(receive)


class LaterStreamResponse(Response):
    """Sends `head`, and then waits for the log to follow, of which `head` was the first event.

    `look` returns the log; or the last bytes, if there will be no log; or `None` for now. It is called twice a second,
    for `seconds`. A client that sees no end comes back.
    """

    def __init__(
        self, streams: StreamingService, wire: AnyWire, head: bytes, name: str, look: FindLog, seconds: float = 20.0
    ) -> None:
        self.status_code = 200
        self.background = None
        self.raw_headers = [*HEADERS, *wire.headers, (b"x-stream-id", name.encode())]
        self._streams = streams
        self._wire = wire
        self._head = head
        self._look = look
        self._looks = int(seconds / _LOOK_SECONDS)
        self._key_id: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._key_id = scope["caller"].key_id
        keep_alive(scope, self.raw_headers)
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self._head, "more_body": True})
        scope["streams"].append(self)

    async def follow(self, receive: Receive, send: Send) -> None:
        """Send the rest."""
        found: Tail | bytes | None = None
        for number in range(self._looks):
            if number % _LOOKS_A_BEAT == _LOOKS_A_BEAT - 1:  # sent in vain if the client has left
                await send({"type": "http.response.body", "body": self._wire.heartbeat, "more_body": True})
            found = await self._look()
            if found is not None:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        if isinstance(found, Tail):
            try:
                self._streams.admit(found)
            except StreamForgeError:  # one reader too many: the client that comes back is refused
                found = None
        if isinstance(found, Tail):
            await StreamReader(self._streams, found, self._wire, 1, send, self._key_id).run(receive)
        else:
            await send({"type": "http.response.body", "body": found or b"", "more_body": False})


class StaticStreamResponse(Response):
    """An event stream that is known in full."""

    def __init__(self, body: bytes, stream_id: str) -> None:
        super().__init__(body)
        self.raw_headers += [*HEADERS, (b"x-stream-id", stream_id.encode())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        keep_alive(scope, self.raw_headers)
        await super().__call__(scope, receive, send)


class StreamingApp(FastAPI):
    """FastAPI inside the layer that streams once FastAPI is done, and drops frozen clients of any response."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        readers = services_of(scope).readers
        connection = ClientConnection(send)
        handed: list[StreamResponse | LaterStreamResponse] = []
        readers.enter(connection)
        try:
            # A copy of the scope, so that what FastAPI puts into it is freed while the response streams.
            await super().__call__({**scope, "streams": handed}, receive, send)
            if not handed:
                await connection.linger()
        finally:
            readers.leave(connection)
        if handed:
            del connection
            await handed.pop().follow(receive, send)


def keep_alive(scope: Scope, headers: list[tuple[bytes, bytes]]) -> None:
    """Add the header that only HTTP/1.1 has, unless the client asked for the opposite."""
    if scope["http_version"] == "1.1":
        for name, value in scope["headers"]:
            if name == b"connection" and b"close" in value.lower():
                return
        headers.append((b"connection", b"keep-alive"))
