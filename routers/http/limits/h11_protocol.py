"""The same limits for uvicorn's other protocol, for machines that have no httptools: that is compiled."""

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from routers.http.limits.late_heads import TimedHeads


class BoundedH11(TimedHeads, H11Protocol):
    """Limits the head's time; h11 limits its bytes, and the application's layer the fields."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._clock.stop()
        elif self._head_has_begun() and not self.transport.is_closing():
            self._clock.start()

    def _head_has_begun(self) -> bool:
        return bool(self.conn.trailing_data[0])
