"""One server that asks for keys, called directly, through nginx and through Caddy as they are shipped."""

import json
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.keys import KeyRing, bearer
from tests.support.proxies import KINDS, reverse_proxy
from tests.support.server import Process, process_server

PLACES = ("bare", "nginx", "caddy")
# The shipped clocks are those of people, these are those of tests.
EDITS = {
    "nginx": {
        "client_header_timeout 10s": "client_header_timeout 1s",
        "client_body_timeout 30s": "client_body_timeout 1s",
        "keepalive_timeout 60s": "keepalive_timeout 1s",
        "lingering_time 10s": "lingering_time 1s",
        "lingering_timeout 2s": "lingering_timeout 1s",
        "keepalive_timeout 4s": "keepalive_timeout 500ms",
        "limit_conn addresses 256": "limit_conn addresses 20",
    },
    "caddy": {
        "read_header 10s": "read_header 1s",
        "read_body 15m": "read_body 2s",
        "idle 60s": "idle 1s",
        "keepalive 4s": "keepalive 500ms",
    },
}


@dataclass(frozen=True)
class Place:
    """Where clients come from, and what they reach."""

    kind: str
    port: int
    process: Process
    key: str
    """The header."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def requests(self, after: int = 0) -> list[dict[str, Any]]:
        """All that the server has seen, as its log tells, after so many lines of it."""
        records = [json.loads(line) for line in self.process.log[after:]]
        return [record for record in records if record["event"] == "request"]

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.popen.pid}/fd").iterdir()))

    def memory(self) -> float:
        """MiB."""
        status = Path(f"/proc/{self.process.popen.pid}/status").read_text().splitlines()
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) / 1024


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def three_places(
    folder: Path, command: list[str], edits: Mapping[str, Mapping[str, str]]
) -> Iterator[dict[str, Place]]:
    """One server, and the shipped proxies before it."""
    ring = KeyRing(folder / "data")
    key = f"Authorization: {bearer(ring.make('ann'))['authorization']}\r\n"
    settings = {"AUTH_MODE": "api_key", "DATA_DIR": ring.folder, "FORWARDED_ALLOW_IPS": "127.0.0.1"}
    text = " ".join(f"word{number}" for number in range(3_000))
    with ExitStack() as stack:
        process, url = stack.enter_context(
            process_server(command, STREAM_DELAY="0.01", SIMULATED_TEXT=text, ALLOW_PROFILING="true", **settings)
        )
        ports = {"bare": int(url.rpartition(":")[2])}
        for kind in KINDS:
            ports[kind] = unused_port()
            stack.enter_context(reverse_proxy(kind, ports[kind], (ports["bare"], ports["bare"]), edits.get(kind, {})))
        yield {kind: Place(kind, port, process, key) for kind, port in ports.items()}


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Place]]:
    """The three, with short clocks."""
    command = [sys.executable, "-m", "tests.support.quick_server"]
    with three_places(tmp_path_factory.mktemp("connections"), command, EDITS) as made:
        yield made


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, places: dict[str, Place]) -> Place:
    found: Place = places[request.param]
    return found
