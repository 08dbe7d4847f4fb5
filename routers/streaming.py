"""The response that reads a log, and the outermost layer that keeps it cheap.

`StreamResponse` sends the headers from inside FastAPI, through every middleware, and hands itself over.
When FastAPI's frames have unwound, `StreamingApp` lets a `StreamReader` write the body with the server's own
`send`: an event then resumes one shallow task and nothing of FastAPI's.
"""

from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from routers.connections import Connection, StreamReader
from services.readers import Readers
from services.streaming_service import StreamingService
from stores.streams.base import Tail
from wires import Wire

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
"""What every event stream says of itself."""


class StreamResponse(Response):
    """Follows `tail` on `wire`, beginning after event number `after`."""

    def __init__(
        self, streams: StreamingService, tail: Tail, wire: Wire, after: int = 0, *, replayed: bool = False
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

    def reader(self, send: Send) -> StreamReader:
        """The reader that sends the body over `send`."""
        return StreamReader(self._streams, self._tail, self._wire, self._after, send, self._key_id)


class StaticStreamResponse(Response):
    """A whole event stream that is known beforehand."""

    def __init__(self, body: bytes, stream_id: str) -> None:
        super().__init__(body)
        self.raw_headers += [*HEADERS, (b"x-stream-id", stream_id.encode())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        keep_alive(scope, self.raw_headers)
        await super().__call__(scope, receive, send)


class StreamingApp(FastAPI):
    """FastAPI, with the layer around it that streams once FastAPI is done, and frees frozen clients of any answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        readers: Readers = scope["state"]["services"].readers
        connection = Connection(send)
        handed: list[StreamResponse] = []
        readers.enter(connection)
        try:
            # A copy of the scope, so that what FastAPI leaves in it is gone while the answer streams.
            await super().__call__({**scope, "streams": handed}, receive, send)
            if not handed:
                await connection.linger()
        finally:
            readers.leave(connection)
        if handed:
            del connection
            await handed.pop().reader(send).run(receive)


def keep_alive(scope: Scope, headers: list[tuple[bytes, bytes]]) -> None:
    """HTTP/1.1 alone has this header, and not where the client asked for the opposite."""
    if scope["http_version"] == "1.1":
        for name, value in scope["headers"]:
            if name == b"connection" and b"close" in value.lower():
                return
        headers.append((b"connection", b"keep-alive"))
