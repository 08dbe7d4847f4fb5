"""Servers whose callers have API keys, and the keys."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.keys import KeyRing
from tests.support.server import LiveServer, live_server, make_settings

ServeKeys = Callable[..., LiveServer]


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    """The keys of `serve_keys`."""
    return KeyRing(tmp_path / "data")


@pytest.fixture
def serve_keys(serve: Callable[..., LiveServer], ring: KeyRing) -> ServeKeys:
    """Start a server that asks for keys of the ring."""

    def start(**settings: Any) -> LiveServer:
        return serve(AUTH_MODE="api_key", DATA_DIR=ring.folder, **settings)

    return start


@pytest.fixture(scope="module")
def shared_ring(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    """The keys of `shared_server`."""
    return KeyRing(tmp_path_factory.mktemp("shared") / "data")


@pytest.fixture(scope="module")
def shared_server(shared_ring: KeyRing) -> Iterator[LiveServer]:
    """One server for a whole module, for tests that leave nothing behind."""
    settings = make_settings(STREAM_DELAY=0, AUTH_MODE="api_key", DATA_DIR=shared_ring.folder)
    with live_server(settings) as server:
        yield server
