"""Transports between the network and the providers' packages that keep lines bounded and intact.

httpx ends a line wherever `str.splitlines` does, which includes U+0085, U+2028 and U+2029; JSON may contain these
unescaped. Ollama's package then fails, and Cohere's silently drops that piece of the answer. Cohere's also drops a line
of broken JSON, and logs it. Here these characters become JSON escapes, which mean the same, and broken JSON is an
error.
"""

import re
from collections.abc import AsyncIterator

import httpx
import httpx2
import orjson

MAX_LINE_BYTES = 32 * 1024 * 1024

_ENDS = re.compile(rb"\xc2\x85|\xe2\x80[\xa8\xa9]")
_ESCAPES = {b"\xc2\x85": rb"\u0085", b"\xe2\x80\xa8": rb"\u2028", b"\xe2\x80\xa9": rb"\u2029"}
_HALF = re.compile(rb"(?:\xc2|\xe2\x80?)\Z")


class BrokenLine(ValueError):  # noqa: N818 - the name says what it is
    """A line that no valid answer contains. The message does not repeat its text."""


class Lines:
    """Checks the lines of one body as they pass."""

    def __init__(self, *, escape: bool = False, verify: bool = False) -> None:
        self._escape = escape
        self._verify = verify
        self._half = b""  # part of a character to escape
        self._size = 0  # bytes of the line that has not ended
        self._line = b""  # the same line, if lines are verified

    def feed(self, data: bytes) -> bytes:
        """Takes the next bytes, and returns those to pass on."""
        end = data.rfind(b"\n")
        self._size = self._size + len(data) if end < 0 else len(data) - end - 1
        if self._size > MAX_LINE_BYTES:
            raise BrokenLine("the provider sent an endless line")
        if self._escape:
            data = self._half + data
            half = _HALF.search(data)
            self._half = half[0] if half else b""
            data = _ENDS.sub(lambda found: _ESCAPES[found[0]], data[: len(data) - len(self._half)])
        if self._verify:
            *whole, self._line = (self._line + data).split(b"\n")
            for line in whole:
                _verify(line)
        return data


def _verify(line: bytes) -> None:
    name, _, value = line.partition(b":")
    value = value.strip()
    if name == b"data" and value and value != b"[DONE]":
        try:
            orjson.loads(value)
        except ValueError:
            raise BrokenLine("the provider sent invalid JSON") from None


class LineTransport(httpx.AsyncBaseTransport):
    """An httpx transport that passes its responses through `Lines`."""

    def __init__(self, transport: httpx.AsyncBaseTransport, *, verify: bool) -> None:
        self._transport = transport
        self._verify = verify

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Stream(response.stream, Lines(escape=True, verify=self._verify))
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


class _Stream(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, lines: Lines) -> None:
        self._stream = stream
        self._lines = lines

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._stream:
            yield self._lines.feed(data)

    async def aclose(self) -> None:
        await self._stream.aclose()


class BoundedTransport(httpx2.AsyncBaseTransport):
    """The same for httpx2. The packages that use it split lines correctly, so only the length is limited."""

    def __init__(self, transport: httpx2.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._transport.handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _BoundedStream(response.stream)
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream
        self._lines = Lines()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._stream:
            yield self._lines.feed(data)

    async def aclose(self) -> None:
        await self._stream.aclose()
