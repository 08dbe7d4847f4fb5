"""A provider of embeddings on loopback, in OpenAI's format and Ollama's, which refuses requests on demand."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Vectors:
    """The provider's script and record. `rows` returns the vector of each text; `refusals` are sent first, in turn."""

    url: str = ""
    rows: Any = lambda texts: [[3.0, 4.0] for _ in texts]
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    seen: list[dict[str, Any]] = field(default_factory=list)
    frozen: threading.Event | None = None


@contextlib.contextmanager
def vectors_server() -> Iterator[Vectors]:
    """A running server, stopped at the end."""
    state = Vectors()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            state.seen.append({"path": self.path, "body": body, "authorization": self.headers.get("authorization")})
            if state.frozen is not None:
                state.frozen.wait(30)
                self.close_connection = True
                return None
            if state.refusals:
                status, headers = state.refusals.pop(0)
                return self._send(status, {"error": {"message": "a secret of the provider"}}, headers)
            rows = state.rows(body["input"])
            said: dict[str, Any] = {"model": body["model"], "embeddings": rows}
            if self.path.endswith("/embeddings"):
                data = [{"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(rows)]
                said = {"object": "list", "model": body["model"], "data": data}
                said["usage"] = {"prompt_tokens": 1, "total_tokens": 1}
            return self._send(200, said, {})

        def _send(self, status: int, body: Any, headers: dict[str, str]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {
                "content-type": "application/json",
                "content-length": str(len(data)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Logs nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        if state.frozen is not None:
            state.frozen.set()
        server.shutdown()
        server.server_close()
        thread.join()
