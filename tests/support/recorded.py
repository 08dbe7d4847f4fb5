"""A server that responds to any request with one recorded stream, in small pieces."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_PIECE = 7
"""Bytes: no block, no line and no character of more than one byte is safe from being cut."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    body = b""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(OSError):  # who has read the last event may leave before the end of the body
            for at in range(0, len(self.server.body), _PIECE):
                piece = self.server.body[at : at + _PIECE]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def recorded(body: bytes) -> Iterator[str]:
    """The URL of a server that sends this stream; stopped at the end."""
    with _Server(("127.0.0.1", 0), _Connection) as server:
        server.body = body
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
