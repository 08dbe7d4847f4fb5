"""The readers of this process: who follows which stream, and their slow clocks."""

import asyncio
from typing import Protocol

from domain.errors import StreamForgeError
from services.clocks import Clocks
from stores.streams.base import Follower, Tail

MAX_PER_STREAM = 100


class Reader(Follower, Protocol):
    """One connection that follows one stream."""

    def tick(self, clocks: Clocks) -> bool:
        """A sweep has come round; answers whether it made work. Must not wait."""

    def abort(self) -> None:
        """Drop the connection, whatever is still unsent."""


class Readers:
    """Every reader, attached to its stream from its first byte to its last."""

    def __init__(self) -> None:
        self._all: set[Reader] = set()
        self._none = asyncio.Event()
        self._none.set()

    def __len__(self) -> int:
        return len(self._all)

    def admit(self, tail: Tail) -> None:
        """Refuse one reader too many before its first byte."""
        if len(tail.followers) >= MAX_PER_STREAM:
            raise StreamForgeError("too_many_readers", retry_after=5)

    def attach(self, tail: Tail, reader: Reader) -> None:
        """From now on `reader` is woken by `tail` and ticked by the sweeper."""
        tail.followers.append(reader)
        self._all.add(reader)
        self._none.clear()

    def detach(self, tail: Tail, reader: Reader) -> None:
        """`reader` is done, or gone."""
        tail.followers.remove(reader)
        self._all.discard(reader)
        if not self._all:
            self._none.set()

    async def sweep(self, clocks: Clocks) -> None:
        """Tick every reader; lets others run after each 128 that had something to do."""
        worked = 0
        for reader in list(self._all):
            worked += reader.tick(clocks)
            if worked == 128:
                worked = 0
                await asyncio.sleep(0)

    async def flush(self, seconds: float) -> None:
        """Give readers this long to send what is left, then abort them."""
        try:
            async with asyncio.timeout(seconds):
                await self._none.wait()
        except TimeoutError:
            for reader in list(self._all):
                reader.abort()
