"""Fixtures that every test may use."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from blockbuster import blockbuster_ctx

from config.logging import configure_logging
from tests.support.server import LiveServer, live_server, make_settings

configure_logging("ERROR")


@pytest.fixture(autouse=True)
def nothing_blocks() -> Iterator[None]:
    """Fail whatever waits inside an event loop for anything but the loop, in any server of this process."""
    with blockbuster_ctx(
        scanned_modules=["main", "config", "domain", "wires", "routers", "services", "chains", "stores"]
    ) as guard:
        guard.functions["os.write"].can_block_in("config/log_writer.py", "write")  # has asked before
        yield


@pytest.fixture
def serve() -> Iterator[Callable[..., LiveServer]]:
    """Start a server with these settings; it stops with the test. Words come without delay unless asked."""
    with ExitStack() as stack:

        def start(**settings: Any) -> LiveServer:
            return stack.enter_context(live_server(make_settings(**{"STREAM_DELAY": 0, **settings})))

        yield start


def missing(what: str) -> None:
    """A part that is not on this machine: skip here, fail in CI, where `.ci/run` has installed it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing, and CI installs it")
    pytest.skip(f"{what} is missing")


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A port of loopback that nobody listens on at this moment."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    return find
