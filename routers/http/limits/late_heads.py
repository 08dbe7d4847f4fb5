"""What uvicorn's protocols lack, for all of them: a clock for the head of a request, and the refusal of one."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from routers.http.error_shapes import PROBLEM, Refusal
from routers.http.limits.values import SHIPPED, ConnectionLimits

log = structlog.get_logger("requests")

_PHRASES = {408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


class HeadClock:
    """Calls `late` when the time for a head is over."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, late: Callable[[], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._late = late
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, unless it runs already."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._fire)

    def stop(self) -> None:
        """The head is whole, or its connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        self._late()


class TimedHeads(asyncio.Protocol):
    """A part of a protocol of uvicorn's: a head that takes too long ends its connection.

    The other part says which bytes of a head have come, and starts and stops `_clock` as they do.
    """

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport

    def __init__(self, *args: Any, limits: ConnectionLimits = SHIPPED, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._clock = HeadClock(self.loop, limits.head_seconds, self._head_is_late)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._clock.start()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clock.stop()
        super().connection_lost(exc)

    def _head_has_begun(self) -> bool:
        raise NotImplementedError

    def _head_is_late(self) -> None:
        if is_busy(self):
            self._clock.start()  # the next request may wait for this response
        elif self._head_has_begun():
            refuse_head(self, "request_timeout")
        else:
            self.transport.close()


def _response(code: str) -> bytes:
    """A response to a request that cannot be read to its end: nobody knows what it is for."""
    shaped = PROBLEM.render(Refusal.of(code))
    body = shaped.bytes()
    return b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n" % (
        shaped.status, _PHRASES[shaped.status], PROBLEM.media_type.encode(), len(body),
    ) + b"x-content-type-options: nosniff\r\nconnection: close\r\n\r\n" + body  # fmt: skip


def is_busy(protocol: Any) -> bool:
    """Whether a request is being answered, or waits for its turn."""
    return protocol.cycle is not None and not protocol.cycle.response_complete


def is_answering(protocol: Any) -> bool:
    """Whether a part of a response is on its way."""
    return is_busy(protocol) and (protocol.cycle.response_started or bool(getattr(protocol, "pipeline", None)))


def refuse_head(protocol: Any, code: str) -> None:
    """End the connection, with a response unless another one is on its way."""
    if protocol.transport.is_closing():
        return
    log.info("a request's head was refused", code=code)
    if is_answering(protocol):
        protocol.transport.abort()
        return
    protocol.transport.write(_response(code))
    protocol.transport.close()
