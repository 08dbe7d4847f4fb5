"""Runs embedding and splitting, which would block the event loop, in one child process.

The child is started on first use, lives as long as the pipe to its standard input, and has neither our environment nor
a network. It does one thing at a time; urgent requests overtake the others that are waiting. If it dies, it is started
again and gets the request once more; if it does not respond in time, it is killed.
"""

import asyncio
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import structlog

from children import frames
from children.child import Child
from children.spawning import EVERYDAY, Program, spawn
from domain.documents import Chunk, Parsed, Vector
from domain.errors import StreamForgeError

log = structlog.get_logger("cpu-worker")

CHILD = Path(__file__).with_name("cpu_child.py")
MAX_FRAME = 256 * 1024 * 1024
"""The most bytes of one request or response."""
MAX_WAITING = 1_000
"""The most requests of all callers together that may wait."""
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # One thread: several would compete for the cores with the server's own.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


class _Died(Exception):  # noqa: N818 - the name says what happened
    """The child is gone, or has written something invalid."""


@dataclass(order=True)
class _Job:
    rank: tuple[int, int]
    body: bytes = field(compare=False)
    response: asyncio.Future[bytes] = field(compare=False)


class CpuWorker:
    """Keeps one child. `deadline`, in seconds, limits a request once its turn comes; it may wait as long before that.

    Failures are `provider_not_configured` (a package is missing), `provider_timeout`, `provider_overloaded` (too many
    requests are waiting, or this one waited too long), `provider_unreachable` (the child died twice) and
    `provider_error`.
    """

    def __init__(self, *, deadline: float = 60.0, program: Path = CHILD) -> None:
        self._deadline = deadline
        self._program = Program(program, inherited=EVERYDAY, environment=_ENVIRONMENT)
        self._jobs: asyncio.PriorityQueue[_Job] = asyncio.PriorityQueue(MAX_WAITING)
        self._numbers = itertools.count()
        self._child: Child | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id; `None` if it is not running."""
        return self._child.pid if self._child is not None else None

    async def embed(self, model: str, texts: list[str], *, urgent: bool = False) -> list[Vector]:
        """Unit vectors from a bundled model, one per text. Pass no more texts than `LocalModel.batch`."""
        if not texts:
            return []
        response = await self._ask(b"V", orjson.dumps({"embed": model, "texts": texts}), urgent=urgent)
        size, left = divmod(len(response), len(texts))
        if left:
            raise StreamForgeError("provider_error")
        return [response[at : at + size] for at in range(0, len(response), size)]

    async def split(self, parsed: Parsed, size: int, overlap: int) -> list[Chunk]:
        """The pieces of a document, by `chains.splitting.split`."""
        request = {"split": parsed, "size": size, "overlap": overlap}
        response = await self._ask(b"J", await asyncio.to_thread(orjson.dumps, request), urgent=False)
        return await asyncio.to_thread(_chunks, response)

    async def close(self) -> None:
        """Stop the child, if there is one. Requests waiting for it fail with `provider_unreachable`."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        while not self._jobs.empty():
            _fail(self._jobs.get_nowait(), "provider_unreachable")
        await self._stop()

    async def _ask(self, kind: bytes, body: bytes, *, urgent: bool) -> bytes:
        if len(body) > MAX_FRAME:
            raise StreamForgeError("provider_refused", "That is more text than can be worked on at once.")
        job = _Job((0 if urgent else 1, next(self._numbers)), body, asyncio.get_running_loop().create_future())
        try:
            self._jobs.put_nowait(job)
        except asyncio.QueueFull:
            raise StreamForgeError("provider_overloaded") from None
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="cpu worker")
        try:
            async with asyncio.timeout(2 * self._deadline):
                response = await job.response
        except TimeoutError:
            raise StreamForgeError("provider_overloaded") from None
        return _payload(kind, response)

    async def _work(self) -> None:
        while True:
            job = await self._jobs.get()
            if job.response.done():  # its caller has given up
                continue
            try:
                response = await self._attempt(job.body)
            except StreamForgeError as error:
                await self._stop()
                _fail(job, error.code)
            except asyncio.CancelledError:
                _fail(job, "provider_unreachable")
                raise
            else:
                if not job.response.done():
                    job.response.set_result(response)

    async def _attempt(self, body: bytes) -> bytes:
        """The child's response. It is awaited even if the caller has given up, so that frames stay in step."""
        try:
            async with asyncio.timeout(self._deadline):
                try:
                    return await self._exchange(body)
                except _Died as error:
                    log.warning("the child process died, and gets the request once more", why=str(error))
                    await self._stop()
                    return await self._exchange(body)
        except TimeoutError:
            log.error("the child process does not respond", seconds=self._deadline)
            raise StreamForgeError("provider_timeout") from None
        except _Died as error:
            log.error("the child process died again", why=str(error))
            raise StreamForgeError("provider_unreachable") from None

    async def _exchange(self, body: bytes) -> bytes:
        child = self._child
        if child is None or child.returncode is not None:
            child = self._child = await spawn(self._program)
            log.info("child process started", pid=child.pid)
        try:
            await frames.send(child, body)
            return await frames.receive(child, MAX_FRAME)
        except (OSError, EOFError, ValueError) as error:
            raise _Died(type(error).__name__) from None

    async def _stop(self) -> None:
        """Kill the child, if there is one: it has nothing to save."""
        child, self._child = self._child, None
        if child is not None:
            await child.end()


def _payload(kind: bytes, response: bytes) -> bytes:
    if response[:1] == kind:
        return response[1:]
    if response == b"Emissing":
        raise StreamForgeError(
            "provider_not_configured", "What documents need is not installed here; install requirements.txt."
        )
    log.error("the child process failed", kind=response[:100].decode(errors="replace"))
    raise StreamForgeError("provider_error")


def _fail(job: _Job, code: str) -> None:
    if not job.response.done():
        job.response.set_exception(StreamForgeError(code))
        job.response.exception()  # marks it as retrieved, in case the caller has given up


def _chunks(response: bytes) -> list[Chunk]:
    rows: list[dict[str, Any]] = orjson.loads(response)
    return [Chunk(**row) for row in rows]
