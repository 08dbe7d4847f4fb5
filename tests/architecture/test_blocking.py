"""The guard that every other test runs under really guards (F22)."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.server import LiveServer

BLOCKING: dict[str, Callable[[], object]] = {
    "sleep": lambda: time.sleep(0.01),
    "a small file": lambda: Path("/proc/self/stat").read_text(),
}


@pytest.mark.parametrize("kind", BLOCKING)
def test_a_route_that_blocks_the_loop_fails(serve: Callable[..., LiveServer], kind: str) -> None:
    server = serve()

    @server.app.get("/blocks")
    async def blocks() -> None:
        BLOCKING[kind]()

    assert httpx.get(f"{server.url}/blocks").status_code == 500
