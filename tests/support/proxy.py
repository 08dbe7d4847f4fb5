"""A TCP proxy that cuts connections at places that a test chooses."""

import contextlib
import re
import socket
import socketserver
import threading
from collections.abc import Iterator


class CuttingProxy(socketserver.ThreadingTCPServer):
    """Forwards connections to a port of this machine.

    Each pattern of `cuts` is for one connection, in order: right behind its first match in what the server
    sends, the client sees the connection end. Connections beyond the last pattern are left alone.
    """

    allow_reuse_address = True

    def __init__(self, target: int, cuts: tuple[bytes, ...]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.target = target
        self.requests: list[bytes] = []
        """The bytes that the client of each connection has sent."""
        self.answers: list[bytes] = []
        """The bytes that it was sent."""
        self._cuts = [re.compile(cut, re.DOTALL) for cut in cuts]
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def begin(self, client: socket.socket) -> tuple[int, re.Pattern[bytes] | None]:
        """The number of a new connection, and the pattern at which to cut it."""
        with self._lock:
            number = len(self.requests)
            self.requests.append(b"")
            self.answers.append(b"")
            self._open.add(client)
        return number, self._cuts[number] if number < len(self._cuts) else None

    def end(self, client: socket.socket) -> None:
        """The connection is over."""
        with self._lock:
            self._open.discard(client)

    def drop_all(self) -> None:
        """End the connections that clients keep alive."""
        with self._lock:
            for client in self._open:
                _shut(client)


class _Connection(socketserver.BaseRequestHandler):
    server: CuttingProxy

    def handle(self) -> None:
        number, cut = self.server.begin(self.request)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.server.target)) as upstream:
            forward = threading.Thread(target=self._forward, args=(number, upstream))
            forward.start()
            try:
                self._answer(number, upstream, cut)
            finally:
                _shut(self.request)
                _shut(upstream)
                forward.join()
        self.server.end(self.request)

    def _answer(self, number: int, upstream: socket.socket, cut: re.Pattern[bytes] | None) -> None:
        answers = self.server.answers
        while piece := upstream.recv(65_536):
            sent = len(answers[number])
            answers[number] += piece
            if cut and (match := cut.search(answers[number])):
                answers[number] = answers[number][: match.end()]
                self.request.sendall(answers[number][sent:])
                return
            self.request.sendall(piece)

    def _forward(self, number: int, upstream: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := self.request.recv(65_536):
                self.server.requests[number] += piece
                upstream.sendall(piece)
        _shut(upstream)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def cutting_proxy(target: int, *cuts: bytes) -> Iterator[CuttingProxy]:
    """A proxy in front of the port `target`; stopped at the end, with its connections and threads."""
    with CuttingProxy(target, cuts) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
            proxy.drop_all()
