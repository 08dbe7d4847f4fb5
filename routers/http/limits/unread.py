"""The layer that deals with bodies that nobody has read: of requests that were refused, or that need none."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from routers.http.limits.bodies import announced, announces_body
from routers.http.limits.values import SHIPPED, ConnectionLimits
from routers.http.request_headers import header_of


class UnreadBody:
    """Ends the connection after a response to a request whose body has not been read: the rest of it would be read as
    long as it takes.

    A small rest is waited for, so that the connection can go on.
    """

    def __init__(self, app: ASGIApp, limits: ConnectionLimits = SHIPPED) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and announces_body(scope):
            exchange = _Exchange(scope, receive, send, self._limits)
            receive, send = exchange.receive, exchange.send
        await self._app(scope, receive, send)


class _Exchange:
    """One request with a body, and its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: ConnectionLimits) -> None:
        self._receive = receive
        self._send = send
        self._limits = limits
        self._size = announced(scope)
        self._waits_for_us = bool(header_of(scope, b"expect"))  # the client sends nothing before it is asked to
        self._arrived = 0
        self._whole = False
        self._closing = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._waits_for_us = False
        self._arrived += len(message.get("body", b""))
        self._whole = self._whole or message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._whole:
            await self._finish()
            if not self._whole:
                self._closing = True
                kept = [header for header in message["headers"] if header[0] != b"connection"]
                message = {**message, "headers": [*kept, (b"connection", b"close")]}
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if not self._closing or not last:
            await self._send(message)
            return
        # uvicorn closes after the last byte. If the client was still sending then, it would be reset, and might lose
        # the response.
        await self._send({**message, "more_body": True})
        await self._linger()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _finish(self) -> None:
        """Read what has arrived already, and wait for the rest if it is small."""
        if self._waits_for_us:
            return
        small = self._size is not None and self._size <= self._limits.discarded
        await self._discard(self._limits.discarded, self._limits.linger_seconds if small else 0)

    async def _linger(self) -> None:
        """Give the client time to read the response and to stop sending."""
        await self._discard(self._limits.lingered, self._limits.linger_seconds)

    async def _discard(self, size: int, seconds: float) -> None:
        end = self._arrived + size
        try:
            async with asyncio.timeout(seconds):
                while not self._whole and self._arrived < end:
                    await self.receive()
        except TimeoutError:
            return
