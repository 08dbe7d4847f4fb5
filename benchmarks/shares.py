"""What one owner notices of another one who searches as much as the server lets it.

Ann has many messages, and looks for what no index has, eight times at once. Bob asks at a steady pace, and whether the
last one has been answered or not, for one thing after the other.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import cycle
from typing import Any
from urllib.parse import quote

from benchmarks.client import p99
from benchmarks.neighbours import HARD
from benchmarks.server import ROOT, Contender, Server, serving

QUIET = Contender("quiet", "alone")
CROWDED = Contender("crowded", "beside 8 searches at once of another owner")
WAYS = (QUIET, CROWDED)

_SEARCHES = 8
_EVERY = 0.05
_PATIENCE = 30.0
_PATHS = {"sessions": "/sessions", "search": "/search?q=lighthouse", "documents": "/documents", "keys": "/keys"}


async def beside(contender: Contender, messages: int, seconds: float) -> dict[str, float]:
    """The waits of the one, for each thing that it asks for, and the searches of the other."""
    with tempfile.TemporaryDirectory() as folder:
        made = await _made(folder, messages)
        settings = {"AUTH_MODE": "api_key", "DATA_DIR": folder, "STREAM_DELAY": "0", "SIMULATED_TEXT": "So it is."}
        async with serving(contender, settings) as server:
            ann = _Asker(server, made["ann"])
            searching = [asyncio.create_task(_search(ann)) for _ in range(_SEARCHES if contender is CROWDED else 0)]
            try:
                bob = _Asker(server, made["bob"])
                await _ask_steadily(bob, made["sessions"], min(seconds / 5, 3))  # what is loaded on first use is loaded
                ann.waits.clear()
                bob.waits.clear()
                await _ask_steadily(bob, made["sessions"], seconds)
            finally:
                for task in searching:
                    task.cancel()
    return {
        **{f"{name}_ms": p99(waits) * 1e3 for name, waits in bob.waits.items()},
        "failed": bob.failed,
        "searches_per_second": len(ann.waits.get("hard", [])) / seconds,
    }


async def _made(folder: str, messages: int) -> Mapping[str, Any]:
    maker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.neighbours", folder, str(messages)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await maker.communicate()
    made: dict[str, Any] = json.loads(out)
    return made


class _Asker:
    """One owner's requests, each on a connection of its own: the waits of those that succeed, how many have failed."""

    def __init__(self, server: Server, key: str) -> None:
        self._port = server.port
        self._head = f"HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\nconnection: close\r\n"
        self.waits: dict[str, list[float]] = {}
        self.failed = 0

    async def get(self, name: str, path: str) -> None:
        await self._ask(name, f"GET {path} {self._head}\r\n", b"")

    async def chat(self, name: str, session_id: str) -> None:
        """The time to the first byte of the answer."""
        body = json.dumps({"message": "Is it so?", "session_id": session_id})
        head = f"{self._head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        await self._ask(name, f"POST /chat {head}{body}", b"data: ")

    async def _ask(self, name: str, request: str, until: bytes) -> None:
        begun = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**20)
        try:
            writer.write(request.encode())
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                good = head.split(b" ", 2)[1] == b"200"
                if good and until:
                    await reader.readuntil(until)
                else:
                    await reader.read()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            good = False
        finally:
            writer.close()
        self.failed += not good
        if good:
            self.waits.setdefault(name, []).append(time.perf_counter() - begun)


async def _search(ann: _Asker) -> None:
    while True:
        await ann.get("hard", f"/search?q={quote(' '.join(HARD))}")


async def _ask_steadily(bob: _Asker, sessions: list[str], seconds: float) -> None:
    kinds, session_ids = cycle([*_PATHS, "first"]), cycle(sessions)
    asking: list[asyncio.Task[None]] = []
    begun = time.perf_counter()
    for number in range(round(seconds / _EVERY)):
        await asyncio.sleep(max(0.0, begun + number * _EVERY - time.perf_counter()))
        name = next(kinds)
        work = bob.chat(name, next(session_ids)) if name == "first" else bob.get(name, _PATHS[name])
        asking.append(asyncio.create_task(work))
    await asyncio.gather(*asking)
