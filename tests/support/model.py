"""A scripted OpenAI-compatible endpoint on loopback: it says what a test tells it to, and sees who leaves."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Script = Callable[["Answer"], None]


@dataclass
class Seen:
    """What the endpoint noticed."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    client_left: threading.Event = field(default_factory=threading.Event)


class Answer:
    """One answer being written."""

    def __init__(self, handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        self._handler = handler
        self.seen = seen

    def status(self, code: int, body: str) -> None:
        """Refuse with this status and body."""
        data = body.encode()
        self._handler.send_response(code)
        self._handler.send_header("content-type", "application/json")
        self._handler.send_header("content-length", str(len(data)))
        self._handler.end_headers()
        self._handler.wfile.write(data)

    def begin(self) -> None:
        """Send the head of an event stream, which ends with the connection."""
        self._handler.send_response(200)
        self._handler.send_header("content-type", "text/event-stream")
        self._handler.send_header("connection", "close")
        self._handler.end_headers()
        self._handler.close_connection = True

    def raw(self, data: str) -> None:
        """Send one `data:` block as it is."""
        self._handler.wfile.write(f"data: {data}\n\n".encode())
        self._handler.wfile.flush()

    def chunk(self, text: str | None = None, finish: str | None = None, usage: dict[str, int] | None = None) -> None:
        """Send one chunk of OpenAI's chat completions."""
        choices = [{"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}]
        body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "scripted", "choices": choices}
        if usage:
            body = {**body, "choices": [], "usage": usage}
        self.raw(json.dumps(body))

    def say(self, *words: str) -> None:
        """A whole, proper answer."""
        self.begin()
        for word in words:
            self.chunk(word)
        self.chunk(finish="stop")
        self.chunk(usage={"prompt_tokens": 11, "completion_tokens": len(words), "total_tokens": 11 + len(words)})
        self.raw("[DONE]")

    def until_client_leaves(self) -> None:
        """Wait until the other side has closed the connection."""
        with contextlib.suppress(OSError):
            while self._handler.rfile.read(1):
                pass
        self.seen.client_left.set()


@contextlib.contextmanager
def scripted_model(script: Script) -> Iterator[tuple[str, Seen]]:
    """Serve `script` for every request; yields the base URL and what was seen."""
    seen = Seen()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            body = json.loads(self.rfile.read(length))
            seen.requests.append({"path": self.path, "headers": dict(self.headers), "body": body})
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                script(Answer(self, seen))

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
