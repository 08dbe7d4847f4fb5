"""A front-end's own web server, which knows nothing of StreamForge but its address."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.server import wait_for

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
    """Tests that run beside this one want the same ports: each waits for its turn."""
    servers: list[ThreadingHTTPServer] = []

    def a_port_is_free() -> bool:
        for port in ports:
            with suppress(OSError):
                servers.append(ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=str(folder))))
                return True
        return False

    wait_for(a_port_is_free, seconds=60)
    return servers[0]
