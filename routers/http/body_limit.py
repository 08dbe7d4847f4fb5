"""The layer that reads bodies: at most so many bytes, in at most so many seconds."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import StreamForgeError
from routers.http.errors import problem
from routers.http.request_headers import header_of


class BodyLimit:
    """Reads the body before anything else looks at the request.

    `uploads` are the paths whose routes read it themselves, with the most bytes for each.
    """

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, seconds: float = 30.0, uploads: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        if (most := self._uploads.get(scope["path"])) is not None:
            await self._upload(scope, receive, send, most)
            return
        try:
            body = await self._read(header_of(scope, b"content-length"), receive)
        except StreamForgeError as error:
            # The rest of the body would be read as the next request.
            refusal = problem(error.code, detail=error.detail, headers={"connection": "close"})
            await refusal(scope, receive, send)
            return
        if body is None:
            return  # the client left

        async def replay() -> Message:
            nonlocal body
            if body is None:
                return await receive()
            whole, body = body, None
            return {"type": "http.request", "body": whole, "more_body": False}

        await self._app(scope, replay, send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send, most: int) -> None:
        """Let the route read the body, once it knows the caller: at most `most` bytes, and no part too slowly."""
        length = header_of(scope, b"content-length")
        size = int(length[:20]) if length.isdigit() else 0  # as announced, until more has arrived
        arrived, refused = 0, False

        async def counted() -> Message:
            nonlocal arrived, refused
            try:
                if max(size, arrived) <= most:
                    async with asyncio.timeout(self._seconds):
                        message = await receive()
                    arrived += len(message.get("body", b""))
                if max(size, arrived) <= most:
                    return message
                code, detail = "body_too_large", f"An upload may have at most {most} bytes."
            except TimeoutError:
                code, detail = "request_timeout", None
            refused = True
            raise StreamForgeError(code, detail)

        async def closing(message: Message) -> None:
            if refused and message["type"] == "http.response.start":  # the rest would be read as the next request
                message["headers"].append((b"connection", b"close"))
            await send(message)

        await self._app(scope, counted, closing)

    async def _read(self, length: bytes, receive: Receive) -> bytes | None:
        if length.isdigit() and int(length[:20]) > self._max_bytes:
            raise self._too_large()
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    part = message.get("body", b"")
                    parts.append(part)
                    size += len(part)
                    if size > self._max_bytes:
                        raise self._too_large()
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise StreamForgeError("request_timeout") from None

    def _too_large(self) -> StreamForgeError:
        return StreamForgeError("body_too_large", f"The body may have at most {self._max_bytes} bytes.")
