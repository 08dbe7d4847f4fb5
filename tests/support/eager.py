"""A proxy in front of a model's server that makes SmolLM2 call tools: it can, but never does by itself.

Where tools are offered, `<`, with which a call begins, is made likelier, and the answer ends with the first call;
with a result of a tool in hand, the model is told of no tools, or it would call again and again. The words, the
names and the arguments are the model's own.
"""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from tests.support.server import WITHOUT_PROXIES

_BEGINS_A_CALL = {"44": 5}  # the token of "<", and how much likelier


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    target: str
    asked: list[dict[str, Any]]


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(dict(body))
        if body["messages"][-1]["role"] == "tool":
            body.pop("tools", None)
        elif "tools" in body:
            body |= {"logit_bias": _BEGINS_A_CALL, "stop": ["</tool_call>"]}
        key = {"authorization": self.headers["authorization"]}
        url = f"{self.server.target}{self.path}"
        with (
            contextlib.suppress(OSError),  # who asked has left
            httpx.stream("POST", url, json=body, headers=key, timeout=120, **WITHOUT_PROXIES) as answer,
        ):
            self.send_response(answer.status_code)
            self.send_header("content-type", answer.headers["content-type"])
            self.end_headers()
            for piece in answer.iter_raw():
                self.wfile.write(piece)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def eager(target: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A proxy in front of the server at `target`; yields its URL, and the bodies of its requests."""
    with _Server(("127.0.0.1", 0), _Connection) as server:
        server.target, server.asked = target, []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", server.asked
        finally:
            server.shutdown()
            thread.join()
