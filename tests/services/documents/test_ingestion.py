"""F28: the workers go on, whatever happens to one look at the queue."""

import asyncio
from typing import Any

from services.documents.ingestion import Ingestion


class Queue:
    """An open storage with an empty queue, which notes that somebody has looked."""

    opened = True

    def __init__(self) -> None:
        self.looked = asyncio.Event()
        self.documents = self

    async def pending(self) -> bool:
        self.looked.set()
        return False


class Parser:
    """One that cannot even find out whether it may read, at first."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    def refuses(self) -> bool:
        if not self.asked.is_set():
            self.asked.set()
            raise OSError("Too many open files")
        return False


class Limits:
    at_once = 1


async def test_a_look_that_fails_is_not_the_last() -> None:
    queue, parser, other = Queue(), Parser(), Any
    parts: list[Any] = [queue, other, parser, other, other, other]
    ingestion = Ingestion(*parts, piece_size=other, limits=Limits())  # type: ignore[arg-type]
    running = asyncio.create_task(ingestion.run())
    async with asyncio.timeout(10):
        ingestion.wake()
        await parser.asked.wait()
        ingestion.wake()
        await queue.looked.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()
