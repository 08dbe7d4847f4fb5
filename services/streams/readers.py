"""The open connections of this process, and their slow clocks."""

import asyncio
from typing import Protocol

import structlog

from domain.errors import StreamForgeError
from services.streams.clocks import SWEPT_AT_ONCE, Clocks
from stores.streams.tail import Follower, Tail

log = structlog.get_logger("readers")

MAX_PER_STREAM = 100


class Connection(Protocol):
    """A connection to a client that waits for the rest of a response."""

    def tick(self, clocks: Clocks) -> None:
        """A tick of the clocks has passed. Must return at once."""

    def abort(self) -> None:
        """Close the connection, without sending the rest."""


class Reader(Follower, Connection, Protocol):
    """A connection that follows a stream. `key_id` is the API key that it reads with, if any."""

    @property
    def key_id(self) -> str | None: ...

    @property
    def tail(self) -> Tail: ...


class Readers:
    """All open connections. Those that read a stream are also followers of its tail."""

    def __init__(self) -> None:
        self._all: set[Connection] = set()
        self._keyed: set[Reader] = set()
        self._none = asyncio.Event()
        self._none.set()

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, connection: Connection) -> None:
        """Tick `connection` from now on."""
        self._all.add(connection)
        self._none.clear()

    def leave(self, connection: Connection) -> None:
        """`connection` is complete, or gone."""
        self._all.discard(connection)
        if not self._all:
            self._none.set()

    def admit(self, tail: Tail) -> None:
        """Raise `too_many_readers` for one reader too many, before its first byte."""
        if len(tail.followers) >= MAX_PER_STREAM:
            raise StreamForgeError("too_many_readers", retry_after=5)

    def attach(self, tail: Tail, reader: Reader) -> None:
        """Wake `reader` for every event of `tail` from now on, and tick it."""
        tail.followers.append(reader)
        self.enter(reader)
        if reader.key_id is not None:
            self._keyed.add(reader)

    def detach(self, tail: Tail, reader: Reader) -> None:
        """`reader` is complete, or gone."""
        tail.followers.remove(reader)
        self.leave(reader)
        self._keyed.discard(reader)

    def key_ids(self) -> set[str]:
        """The API keys that streams are being read with."""
        return {reader.key_id for reader in self._keyed if reader.key_id is not None}

    def cut(self, keys: set[str], *, late: set[str]) -> None:
        """Cut the readers with one of these keys whose stream goes on; with the `late` keys, all readers."""
        for reader in list(self._keyed):
            if reader.key_id in late or (reader.key_id in keys and not reader.tail.ended):
                reader.cut()

    async def sweep(self, clocks: Clocks) -> None:
        """Tick every connection, letting other tasks run in between."""
        for number, connection in enumerate(list(self._all), 1):
            try:
                connection.tick(clocks)
            except Exception as error:  # a broken one must not stop the clocks of all others
                log.error("a connection failed unexpectedly", exc_info=error)
                self.leave(connection)
            if number % SWEPT_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def flush(self, seconds: float) -> None:
        """Give connections so many seconds to send the rest, then abort them."""
        try:
            async with asyncio.timeout(seconds):
                await self._none.wait()
        except TimeoutError:
            for connection in list(self._all):
                connection.abort()
