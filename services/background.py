"""Tasks that run for as long as the services are open."""

import asyncio
import contextlib
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any


def run_until_closed(stack: AsyncExitStack, work: Coroutine[Any, Any, None], name: str) -> None:
    """Begin `work` now, and cancel it when `stack` is closed."""
    stack.push_async_callback(_stop, asyncio.create_task(work, name=name))


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
