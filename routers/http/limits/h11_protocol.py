"""The same limits for uvicorn's other protocol, for machines that have no httptools: that is compiled."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from routers.http.limits.late_heads import HeadClock, is_busy, refuse_head
from routers.http.limits.values import SHIPPED, ConnectionLimits


class BoundedH11(H11Protocol):
    """Limits the head's time; h11 limits its bytes, and the application's layer the fields."""

    def __init__(self, *args: Any, limits: ConnectionLimits = SHIPPED, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._clock = HeadClock(self.loop, limits.head_seconds, self._head_is_late)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._clock.start()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clock.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._clock.stop()
        elif self.conn.trailing_data[0] and not self.transport.is_closing():
            self._clock.start()

    def _head_is_late(self) -> None:
        if is_busy(self):
            self._clock.start()
        elif self.conn.trailing_data[0]:
            refuse_head(self, "request_timeout")
        else:
            self.transport.close()
