"""What every request passes through, outermost first: its id and log line, the host it names, CORS, its body.

Pure ASGI: none of them is touched again once an answer streams.
"""

import asyncio
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import structlog
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from domain.errors import StreamForgeError
from routers.http.errors import problem
from routers.http.hosts import ForwardedFor, HostRule, names_one_of, stays_on_this_machine

log = structlog.get_logger("requests")

# What OpenAI's package for JavaScript sends from a page, without a use for any of it here.
_OPENAI_HEADERS = [
    "OpenAI-Beta", "OpenAI-Organization", "OpenAI-Project",
    *(f"X-Stainless-{name}" for name in (
        "Arch", "Custom-Poll-Interval", "Helper-Method", "Lang", "OS", "Package-Version", "Poll-Helper", "Retry-Count",
        "Runtime", "Runtime-Version", "Timeout",
    )),
]  # fmt: skip
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~-]{1,64}")


class RequestContext:
    """Gives a request its id, on every log line and in the answer, and logs how it ended."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        given = _header(scope, b"x-request-id")
        id_bytes = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8).encode()
        request_id = id_bytes.decode()
        clear_contextvars()
        bind_contextvars(request_id=request_id)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] += [(b"x-request-id", id_bytes), (b"x-content-type-options", b"nosniff")]
            await send(message)

        await self._app(scope, receive, send_with_id)
        # An answer that streams has only begun; its stream has a line of its own when it ends.
        tell = log.debug if scope["streams"] else log.info
        tell(
            "request",
            method=scope["method"],
            path=scope["raw_path"][:500].decode("ascii", "backslashreplace"),  # still percent-encoded
            status=status,
            ms=round((time.perf_counter() - begun) * 1000, 1),
        )


class LastResort:
    """Makes a 500 of an exception nobody foresaw, inside the layers that add headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting_send(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting_send)
        except Exception as error:
            log.error("a request failed unforeseen", exc_info=error)
            if begun:  # too late for a problem: the server closes the connection
                raise
            await problem("internal_error")(scope, receive, send)


class BodyLimit:
    """Reads the body before anything else looks at it: at most so many bytes, in at most so many seconds.

    `uploads` are the paths that read it by themselves, and how many bytes they may.
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
            body = await self._read(_header(scope, b"content-length"), receive)
        except StreamForgeError as error:
            # What is left of the body would be read as the next request.
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
        """Its route reads it, once that knows who sends it: as much as that, and no part too slowly."""
        length = _header(scope, b"content-length")
        size = int(length[:20]) if length.isdigit() else 0  # as it is said, until more has come
        come, refused = 0, False

        async def counted() -> Message:
            nonlocal come, refused
            try:
                if max(size, come) <= most:
                    async with asyncio.timeout(self._seconds):
                        message = await receive()
                    come += len(message.get("body", b""))
                if max(size, come) <= most:
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


def _header(scope: Scope, wanted: bytes) -> bytes:
    """The first value of a header, or nothing."""
    for name, value in scope["headers"]:
        if name == wanted:
            return bytes(value)
    return b""


def add_middleware(
    app: FastAPI,
    *,
    origins: Sequence[str],
    max_body_bytes: int,
    uploads: Mapping[str, int],
    loopback_only: bool,
    hosts: Sequence[str] = (),
    proxies: Sequence[str] = (),
) -> None:
    """Put the layers round the routes; the last one added is the outermost.

    `hosts` are the names that requests may bring where they may come from everywhere; none is any.
    """
    app.add_middleware(BodyLimit, max_bytes=max_body_bytes, uploads=uploads)
    app.add_middleware(LastResort)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_credentials=True,  # none is ever looked at: a key comes in a header that no browser sends by itself
        allow_methods=["GET", "POST", "PATCH", "PUT", "DELETE"],
        allow_headers=[
            "Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Request-Id", "X-Stream-Detach",
            *_OPENAI_HEADERS,
        ],
        expose_headers=[
            "X-Stream-Id", "X-Session-Id", "X-Request-Id", "Idempotent-Replayed", "Retry-After", "WWW-Authenticate",
            "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After-Ms", "X-Should-Retry",
        ],
    )  # fmt: skip
    app.add_middleware(HostRule, admits=stays_on_this_machine if loopback_only else names_one_of(hosts))
    if proxies:
        app.add_middleware(ForwardedFor, proxies=proxies)
    app.add_middleware(RequestContext)
