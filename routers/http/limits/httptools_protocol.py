"""uvicorn's usual protocol, with limits on the head of a request: uvicorn itself has none.

`python main.py` serves with it; so does
`uvicorn main:app --http routers.http.limits.httptools_protocol:BoundedHttpTools`.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from routers.http.limits.late_heads import TimedHeads, is_answering, refuse_head
from routers.http.limits.values import BESIDE_A_FIELD


class _HeadIsTooLargeError(Exception):
    """Ends the parsing of a head."""


class BoundedHttpTools(TimedHeads, HttpToolsProtocol):
    """Limits the head's bytes, fields and time, and reads no body before the application asks for it.

    Fields after the body are dropped: uvicorn would put them among those of the head, behind the back of whoever has
    read these.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._awaits_head = True
        self._too_large = False
        self._untaken = 0  # bytes since the parser last had something for us
        self._size = 0
        self._fields = 0

    def data_received(self, data: bytes) -> None:
        self._untaken += len(data)
        answering = self.cycle
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._untaken > self._limits.head_bytes:
            refuse_head(self, "head_too_large")
        elif self._awaits_head:
            if self._head_has_begun():
                self._clock.start()
        elif self.cycle is not answering:
            self.flow.pause_reading()  # the rest of the body, until the application asks for it

    def send_400_response(self, msg: str) -> None:
        if self._too_large:
            refuse_head(self, "head_too_large")
        elif is_answering(self):
            self.transport.abort()
        else:
            super().send_400_response(msg)

    def on_message_begin(self) -> None:
        self._size = self._fields = 0
        self._untaken = self._untaken or 1  # if it comes right behind another one
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._take(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._awaits_head:
            self._fields += 1
            self._take(len(name) + len(value) + BESIDE_A_FIELD)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._awaits_head = False
        self._untaken = 0
        self._clock.stop()
        if len(self.pipeline) >= self._limits.pipelined:
            self._too_large = True
            raise _HeadIsTooLargeError
        if not self.url.startswith(b"/"):
            self._name_host()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._untaken = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._untaken = 0
        self._awaits_head = True
        super().on_message_complete()

    def _take(self, size: int) -> None:
        self._size += size
        if self._size > self._limits.head_bytes or self._fields > self._limits.head_fields:
            self._too_large = True
            raise _HeadIsTooLargeError

    def _name_host(self) -> None:
        """Of a target with a host of its own, that host counts (RFC 9112, 3.2.2)."""
        _, scheme, rest = self.url.partition(b"://")
        if scheme:
            host = rest.partition(b"/")[0].partition(b"?")[0].partition(b"#")[0]
            self.headers[:] = [field for field in self.headers if field[0] != b"host"] + [(b"host", host)]

    def _head_has_begun(self) -> bool:
        return self._untaken > 0
