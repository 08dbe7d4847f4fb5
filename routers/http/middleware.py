"""The layers that every request passes, outermost first: id and log line, the body that nobody reads, the head's size,
host, CORS, last resort, origin, the address's rate, the body's limits.

Pure ASGI: none of them is touched again once an answer streams.
"""

import re
import secrets
import time
from collections.abc import Mapping, Sequence

import structlog
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from routers.http.errors import problem
from routers.http.hosts import ForwardedFor, HostRule, names_one_of, stays_on_this_machine
from routers.http.limits.bodies import BodyLimit
from routers.http.limits.heads import HeadLimit
from routers.http.limits.rates import AddressRate
from routers.http.limits.unread import UnreadBody
from routers.http.limits.values import ConnectionLimits
from routers.http.origins import OriginRule
from routers.http.request_headers import header_of

log = structlog.get_logger("requests")

# What OpenAI's package for JavaScript sends from a page; nothing here uses it.
_OPENAI_HEADERS = [
    "OpenAI-Beta", "OpenAI-Organization", "OpenAI-Project",
    *(f"X-Stainless-{name}" for name in (
        "Arch", "Custom-Poll-Interval", "Helper-Method", "Lang", "OS", "Package-Version", "Poll-Helper", "Retry-Count",
        "Runtime", "Runtime-Version", "Timeout",
    )),
]  # fmt: skip
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~-]{1,64}")


class RequestContext:
    """Gives a request its id, in every log line and in the response, and logs how it ended."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        sent = header_of(scope, b"x-request-id")
        id_bytes = sent if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(8).encode()
        request_id = id_bytes.decode()
        clear_contextvars()
        bind_contextvars(request_id=request_id)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"]
                headers += [(b"x-request-id", id_bytes), (b"x-content-type-options", b"nosniff")]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))  # most answers are somebody's
            await send(message)

        await self._app(scope, receive, send_with_id)
        # A response that streams has only begun; its stream has a log line of its own when it ends.
        write = log.debug if scope["streams"] else log.info
        write(
            "request",
            method=scope["method"],
            path=scope["raw_path"][:500].decode("ascii", "backslashreplace"),  # still percent-encoded
            status=status,
            ms=round((time.perf_counter() - begun) * 1000, 1),
        )


class LastResort:
    """Turns an unexpected exception into a 500, inside the layers that add headers."""

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
            log.error("a request failed unexpectedly", exc_info=error)
            if begun:  # too late to refuse: the server closes the connection
                raise
            await problem("internal_error")(scope, receive, send)


def add_middleware(
    app: FastAPI,
    *,
    origins: Sequence[str],
    max_body_bytes: int,
    uploads: Mapping[str, int],
    loopback_only: bool,
    authenticated: bool,
    limits: ConnectionLimits,
    hosts: Sequence[str] = (),
    proxies: Sequence[str] = (),
) -> None:
    """Put the layers around the routes; the last one added is the outermost.

    `hosts` are the names in Host headers to accept if requests may come over a network; without any, every name is.
    """
    app.add_middleware(BodyLimit, max_bytes=max_body_bytes, uploads=uploads, limits=limits)
    app.add_middleware(AddressRate)
    app.add_middleware(OriginRule, listed=origins, spares_credentials=authenticated)
    app.add_middleware(LastResort)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_credentials=True,  # no cookie is ever read: a key comes in a header that no browser sends by itself
        allow_methods=["GET", "POST", "PATCH", "PUT", "DELETE"],
        allow_headers=[
            "Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Request-Id", "X-Stream-Detach",
            *_OPENAI_HEADERS,
        ],
        expose_headers=[
            "X-Stream-Id", "X-Session-Id", "X-Request-Id", "Idempotent-Replayed", "Retry-After", "WWW-Authenticate",
            "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After-Ms", "X-Should-Retry",
            "X-Quota",
        ],
    )  # fmt: skip
    app.add_middleware(HostRule, admits=stays_on_this_machine if loopback_only else names_one_of(hosts))
    if proxies:
        app.add_middleware(ForwardedFor, proxies=proxies)
    app.add_middleware(HeadLimit, limits=limits)
    app.add_middleware(UnreadBody, limits=limits)
    app.add_middleware(RequestContext)
