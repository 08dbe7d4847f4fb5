"""The connections of this process that are being answered, and their slow clocks."""

import asyncio
from typing import Protocol

import structlog

from domain.errors import StreamForgeError
from services.streams.clocks import SWEPT_AT_ONCE, Clocks
from stores.streams.base import Follower, Tail

log = structlog.get_logger("readers")

MAX_PER_STREAM = 100


class Connection(Protocol):
    """A client that is being answered."""

    def tick(self, clocks: Clocks) -> None:
        """A sweep has come round. Must not wait."""

    def abort(self) -> None:
        """Drop the connection, whatever is still unsent."""


class Reader(Follower, Connection, Protocol):
    """A connection that follows a stream. `key_id` is the key that it reads under, where there is one."""

    @property
    def key_id(self) -> str | None: ...

    @property
    def tail(self) -> Tail: ...


class Readers:
    """Every connection while it is answered; those that follow a stream are its followers too."""

    def __init__(self) -> None:
        self._all: set[Connection] = set()
        self._keyed: set[Reader] = set()
        self._none = asyncio.Event()
        self._none.set()

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, connection: Connection) -> None:
        """`connection` is ticked from now on."""
        self._all.add(connection)
        self._none.clear()

    def leave(self, connection: Connection) -> None:
        """`connection` is answered, or gone."""
        self._all.discard(connection)
        if not self._all:
            self._none.set()

    def admit(self, tail: Tail) -> None:
        """Refuse one reader too many before its first byte."""
        if len(tail.followers) >= MAX_PER_STREAM:
            raise StreamForgeError("too_many_readers", retry_after=5)

    def attach(self, tail: Tail, reader: Reader) -> None:
        """From now on `reader` is woken by `tail`, and ticked."""
        tail.followers.append(reader)
        self.enter(reader)
        if reader.key_id is not None:
            self._keyed.add(reader)

    def detach(self, tail: Tail, reader: Reader) -> None:
        """`reader` is done, or gone."""
        tail.followers.remove(reader)
        self.leave(reader)
        self._keyed.discard(reader)

    def key_ids(self) -> set[str]:
        """The keys that streams are read under."""
        return {reader.key_id for reader in self._keyed if reader.key_id is not None}

    def cut(self, keys: set[str], *, late: set[str]) -> None:
        """Cut who reads on under one of these keys; under the `late` ones, who reads only what is left as well."""
        for reader in list(self._keyed):
            if reader.key_id in late or (reader.key_id in keys and not reader.tail.ended):
                reader.cut()

    async def sweep(self, clocks: Clocks) -> None:
        """Tick every connection; others run in between."""
        for number, connection in enumerate(list(self._all), 1):
            try:
                connection.tick(clocks)
            except Exception as error:  # one that is broken must not stop the clocks of all
                log.error("a connection failed unforeseen", exc_info=error)
                self.leave(connection)
            if number % SWEPT_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def flush(self, seconds: float) -> None:
        """Give connections this long to send what is left, then abort them."""
        try:
            async with asyncio.timeout(seconds):
                await self._none.wait()
        except TimeoutError:
            for connection in list(self._all):
                connection.abort()
