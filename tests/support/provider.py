"""
A scripted provider on loopback: it says what a test tells it to, in the dialect of the path it was asked on.

A script is a plain function that is called for every request, in a thread of its connection. What it has begun
ends properly when it returns, so that the connection can be used again; a script that has sent nothing closes
the connection instead. What a script raises, the `with` block raises at its end.
"""

import contextlib
import email.utils
import http.client
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.dialects import DIALECTS, Dialect, OpenAI, Spent

Script = Callable[["Answer"], None]


@dataclass
class Seen:
    """The provider's record. Every answer counts once, in `finished`, in `closures` or as one that it cut itself."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    """Each with `path`, `headers` (lower case), `body`, `connection` (its number) and `at` (monotonic)."""
    connections: int = 0
    open: int = 0
    bytes_sent: int = 0
    finished: int = 0
    """Answers sent to their end, including refusals."""
    closures: int = 0
    """Answers that the client left before their end."""
    client_left: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, **more: int) -> None:
        """Add to counters."""
        with self.lock:
            for name, number in more.items():
                setattr(self, name, getattr(self, name) + number)

    def note(self, **request: Any) -> int:
        """Record a request; returns its number, from 1."""
        with self.lock:
            self.requests.append({**request, "at": time.monotonic()})
            return len(self.requests)


def retry_date(seconds: float) -> str:
    """A `Retry-After` as a date, which has whole seconds only."""
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


class Answer:
    """One answer being written."""

    def __init__(
        self, connection: "_Connection", dialect: Dialect, number: int, request: dict[str, Any], headers: dict[str, str]
    ) -> None:
        self.seen = connection.server.seen
        self.number = number
        """The request's number, from 1."""
        self.dialect = dialect.name
        self.request = request
        """Its parsed body."""
        self.headers = headers
        self._connection = connection
        self._words = dialect
        self._begun = self._opened = self._told = self._ended = self._left = False
        self._calls = 0

    # The whole answer.

    def say(self, *words: str, reasoning: str = "", cached: int = 0, thought: int = 0) -> None:
        """Send a complete answer."""
        if reasoning:
            self.reasoning(reasoning)
        for word in words:
            self.chunk(word)
        self.finish(usage=(11, len(words)), cached=cached, thought=thought)

    def status(
        self, code: int, body: str | Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Respond with this status and body, by default an error in the dialect's format."""
        body = self._words.refusal(code, f"scripted {code}") if body is None else body
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        length = {"content-type": "application/json", "content-length": str(len(data))}
        self._head(code, {**length, **(headers or {})}, data)

    def echo_headers(self, code: int) -> None:
        """Refuse, and repeat the client's headers, including its key."""
        told = "\n".join(f"{name}: {value}" for name, value in self.headers.items())
        self.status(code, self._words.refusal(code, told))

    def redirect(self, url: str, code: int = 307) -> None:
        """Send the client elsewhere."""
        self.status(code, "", {"location": url})

    # Its parts.

    def begin(self, content_type: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        """Send the head of a stream. Any other part sends it automatically."""
        kind = content_type or self._words.content_type
        self._head(200, {"content-type": kind, "transfer-encoding": "chunked", **(headers or {})})

    def chunk(self, text: str | None = None, finish: str | None = None, usage: dict[str, Any] | None = None) -> None:
        """Send a piece of text; in OpenAI's dialect also a finish reason or usage, which are chunks, too."""
        if isinstance(self._words, OpenAI):
            self._send(self._words.chunk({"content": text} if text else {}, finish, usage))
        else:
            assert finish is None, "only OpenAI's chunks carry it"
            assert usage is None, "only OpenAI's chunks carry it"
            self._send(self._opening() + self._words.text(text or ""))

    def reasoning(self, text: str) -> None:
        """A piece of what the model thinks."""
        self._send(self._opening() + self._words.reasoning(text))

    def call(self, name: str, *arguments: str, id: str = "") -> None:
        """Send a tool call with its arguments in these pieces, each sent by itself."""
        index, self._calls = self._calls, self._calls + 1
        self._send(self._opening())
        for data in self._words.call(index, id or f"call_{index + 1}", name, arguments):
            self._send(data)

    def delta(self, **delta: Any) -> None:
        """Send a chunk with exactly this delta; only for OpenAI's dialect."""
        assert isinstance(self._words, OpenAI)
        self._send(self._words.chunk(delta))

    def finish(
        self,
        reason: str = "stop",
        usage: tuple[int, int] = (11, 7),
        *,
        cached: int = 0,
        thought: int = 0,
        mark: bool = True,
        end: bool = True,
    ) -> None:
        """Send the finish reason (in OpenAI's or the dialect's words), the usage (in, out), and the mark of the end.

        Without `mark` the mark is missing; without `end` the body stays open until the script returns.
        """
        data = self._opening() + self._words.finish(reason, Spent(*usage, cached, thought))
        self._told = mark
        self._send(data + (self._words.mark if mark else b""), last=end)

    def end(self, *, cleanly: bool = True) -> None:
        """End the body here: properly, or by closing the connection in the middle of it."""
        if cleanly:
            self._send(b"", last=True)
            return
        self._ended = True
        self._connection.close_connection = True
        with contextlib.suppress(OSError):
            self._connection.connection.shutdown(socket.SHUT_RDWR)

    def raw(self, data: str, event: str | None = None) -> None:
        """Send one block (or line, for Ollama) with exactly this text."""
        self._told = self._told or data == "[DONE]"
        self._send(self._words.frame(data, event))

    def send_bytes(self, data: bytes) -> None:
        """These bytes of the body, in one piece."""
        self._send(data)

    def drip(self, data: bytes, size: int = 1) -> None:
        """These bytes of the body in pieces of `size`, each sent by itself."""
        for start in range(0, len(data), size):
            self._send(data[start : start + size])

    # What goes wrong.

    def in_band_error(self, message: str = "scripted") -> None:
        """Send the dialect's own error in the middle of a stream."""
        self._send(self._opening() + self._words.error(message), last=True)

    def malformed(self) -> None:
        """Send a block with truncated JSON."""
        self._send(self._opening() + self._words.frame(self._words.broken, self._words.event))

    def big_chunk(self, size: int) -> None:
        """Send one piece of text of this many characters."""
        self.chunk("x" * size)

    def endless(self, word: str = "word ", every: float = 0) -> None:
        """Send the same word until the client leaves."""
        while not self.until_client_leaves(every):
            self.chunk(word)

    def reset(self) -> None:
        """Break the connection: the client gets a reset, not an end."""
        self._ended = True
        self._connection.close_connection = True
        sock = self._connection.connection
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(sock.detach())  # the server itself would shut it down first, which is an end

    def pause(self, seconds: float) -> None:
        """Send nothing for a while, without checking whether the client leaves."""
        time.sleep(seconds)

    def until_client_leaves(self, timeout: float | None = None) -> bool:
        """Wait silently until the other side has closed the connection; returns whether it has."""
        sock = self._connection.connection
        with contextlib.suppress(OSError):
            sock.settimeout(timeout)
            try:
                while sock.recv(65_536):
                    pass
            except (TimeoutError, BlockingIOError):
                return False
            finally:
                sock.settimeout(None)
        self._client_gone()
        return True

    stall = until_client_leaves

    def settle(self) -> None:
        """End whatever the script has begun; called when it has returned."""
        if self._ended:
            return
        if not self._told and self.until_client_leaves(0):
            return
        if self._begun:
            self._send(b"", last=True)
        else:
            self._connection.close_connection = True

    # The wire.

    def _opening(self) -> bytes:
        if self._opened:
            return b""
        self._opened = True
        return self._words.opening()

    def _head(self, code: int, headers: Mapping[str, str], body: bytes | None = None) -> None:
        assert not self._begun, "this answer has a head already"
        self._begun = True
        lines = [f"HTTP/1.1 {code} {http.client.responses.get(code, 'Scripted')}", *map(": ".join, headers.items())]
        self._write("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""), last=body is not None)

    def _send(self, data: bytes, *, last: bool = False) -> None:
        if not self._begun:
            self.begin()
        chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""  # an empty one would be the end
        self._write(chunk + (b"0\r\n\r\n" if last else b""), last=last)

    def _write(self, data: bytes, *, last: bool = False) -> None:
        if self._left:
            raise ConnectionAbortedError
        assert not self._ended, "this answer is over"
        self._ended = last
        self.seen.count(finished=int(last))  # before it is sent: who has read the end may look at once
        try:
            self._connection.connection.sendall(data)
        except OSError:
            self._ended = False
            self.seen.count(finished=-int(last))
            self._client_gone()
            raise
        self.seen.count(bytes_sent=len(data))

    def _client_gone(self) -> None:
        self._connection.close_connection = True
        if self._ended or self._connection.server.stopping:
            return
        self._ended = self._left = True
        self.seen.count(**{"finished" if self._told else "closures": 1})
        self.seen.client_left.set()


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Provider"

    def setup(self) -> None:
        super().setup()
        self.number = self.server.opened(self.connection)

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        content = self.rfile.read(length)
        if len(content) < length:  # the client has left in the middle of its request: that is none
            self.close_connection = True
            return
        body = json.loads(content or b"{}")
        headers = {name.lower(): value for name, value in self.headers.items()}
        number = self.server.seen.note(path=self.path, headers=headers, body=body, connection=self.number)
        path = self.path.partition("?")[0]
        dialect = next((dialect() for dialect in DIALECTS if path.endswith(dialect.path)), None)
        answer = Answer(self, dialect or OpenAI(), number, body, headers)
        with contextlib.suppress(OSError):  # the client has left, and that was counted
            if dialect is None or self.command != "POST":
                answer.status(404)
            else:
                self.server.script(answer)
            answer.settle()

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Provider(ThreadingHTTPServer):
    """Serves one script on a port of its own."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.script = script
        self.seen = Seen()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.openai_url = f"{self.url}/v1"
        self.stopping = False
        self.failures: list[BaseException] = []
        self._sockets: set[socket.socket] = set()

    def opened(self, connection: socket.socket) -> int:
        """The number of a new connection, from 1."""
        with self.seen.lock:
            self._sockets.add(connection)
            self.seen.open += 1
            self.seen.connections += 1
            return self.seen.connections

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self.seen.lock:
            self._sockets.discard(request)
            self.seen.open -= 1

    def handle_error(self, request: object, client_address: object) -> None:
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):  # a client that breaks off between two requests
            self.failures.append(error)

    def drop_all(self) -> None:
        """End the open connections; a script that waits for its client to leave learns that it has.

        Waits a little for their scripts, so that what these raise is not lost.
        """
        self.stopping = True
        with self.seen.lock:
            for connection in self._sockets:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + 1
        while self.seen.open and time.monotonic() < deadline:
            time.sleep(0.005)


@contextlib.contextmanager
def scripted_provider(script: Script) -> Iterator[Provider]:
    """Run `script` for every request; stopped at the end, with its connections closed."""
    with Provider(script) as provider:
        thread = threading.Thread(target=provider.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            provider.shutdown()
            thread.join(timeout=5)
            provider.drop_all()
    if provider.failures:
        raise provider.failures[0]


@contextlib.contextmanager
def scripted_model(script: Script) -> Iterator[tuple[str, Seen]]:
    """The same for OpenAI's dialect; yields the base URL and the record."""
    with scripted_provider(script) as provider:
        yield provider.openai_url, provider.seen
