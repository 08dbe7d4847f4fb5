"""A front-end's own web server, which knows nothing of StreamForge but its address."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("page")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def site(ports: Sequence[int], folder: Path = FOLDER) -> Iterator[str]:
    """The page in the folder, on the first of these ports that is free; yields its origin."""
    server = _listen(ports, folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()


def _listen(ports: Sequence[int], folder: Path) -> ThreadingHTTPServer:
    taken: list[str] = []
    for port in ports:
        try:
            return ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=str(folder)))
        except OSError as error:
            taken.append(f"{port}: {error.strerror}")
    raise AssertionError(f"no port for the page ({', '.join(taken)})")
