"""Servers with short clocks."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from routers.http.limits.values import ConnectionLimits
from tests.support.keys import KeyRing
from tests.support.server import LiveServer, live_server, make_settings

QUICK = ConnectionLimits(
    head_seconds=0.3, body_seconds=0.3, upload_rate=64 * 1024, upload_seconds=1.5, linger_seconds=0.3
)

ServeQuick = Callable[..., LiveServer]


@pytest.fixture
def serve_quick() -> Iterator[ServeQuick]:
    """Start a server with these settings, whose clocks run out in a moment; `limits` are changed as told."""
    with ExitStack() as stack:

        def start(limits: dict[str, Any] | None = None, **settings: Any) -> LiveServer:
            changed = replace(QUICK, **(limits or {}))
            return stack.enter_context(live_server(make_settings(**{"STREAM_DELAY": 0, **settings}), changed))

        yield start


@pytest.fixture(scope="module")
def quick() -> Iterator[LiveServer]:
    """One such server for a whole module."""
    with live_server(make_settings(STREAM_DELAY=0), QUICK) as server:
        yield server


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    """Keys for a server that has the ring's folder."""
    return KeyRing(tmp_path / "data")
