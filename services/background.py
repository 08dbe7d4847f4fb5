"""Tasks that no request waits for."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any


def run_until_closed(stack: AsyncExitStack, work: Coroutine[Any, Any, None], name: str) -> None:
    """Start `work` now, and cancel it when `stack` is closed."""
    stack.push_async_callback(_stop, asyncio.create_task(work, name=name))


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


class Tasks:
    """Holds tasks until they end. `failed` is called with the error of a task that was started here and raises."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` in a task of its own."""
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def hold(self, task: asyncio.Task[None]) -> None:
        """Hold a task that was started elsewhere; its error is not looked at."""
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def wait(self, seconds: float) -> None:
        """Wait until all of them have ended, but at most so many seconds."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)
