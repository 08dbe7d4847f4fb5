"""The stream log of a single process: lists in memory, which are gone when the process ends."""

import time
from collections.abc import Callable

from domain.events import Event, Terminal
from domain.streams import StreamInfo, started
from stores.streams.base import Appended, Binding
from stores.streams.local import MAX_CLAIMS, LocalStreams
from stores.streams.tail import Tail


class MemoryKeyBook:
    """The idempotency keys of streams in memory."""

    def __init__(self, streams: LocalStreams) -> None:
        self._streams = streams

    async def bind(self, owner: str, key: str, binding: Binding) -> Binding:
        return self._streams.bind(owner, key, binding)

    async def find(self, owner: str, key: str) -> Binding | None:
        return self._streams.bound(owner, key)

    async def release(self, owner: str, key: str, stream_id: str) -> None:
        self._streams.release(owner, key, stream_id)


class MemoryStreamLog:
    """Keeps finished logs for `retention` seconds, and at most `retained_bytes` of them."""

    peers: None = None

    def __init__(
        self,
        *,
        retention: float,
        retained_bytes: int,
        clock: Callable[[], float] = time.monotonic,
        claims: int = MAX_CLAIMS,
    ) -> None:
        self._streams = LocalStreams(retention=retention, retained_bytes=retained_bytes, clock=clock, claims=claims)
        self.keys = MemoryKeyBook(self._streams)

    def __len__(self) -> int:
        return len(self._streams.tails)

    async def open(self, info: StreamInfo) -> Tail:
        tail = Tail(info)
        tail.events.append(started(info))
        self._streams.add(tail)
        return tail

    async def append(self, tail: Tail, seq: int, event: Event) -> Appended:
        return self._streams.append(tail, seq, event)

    async def seal(self, tail: Tail, outcome: Terminal) -> Terminal:
        return self._streams.seal(tail, outcome)

    async def announce(self, tail: Tail, outcome: Terminal) -> None:
        self._streams.announce(tail, outcome)

    async def drop(self, tail: Tail) -> None:
        self._streams.remove(tail.info.id)

    async def find(self, stream_id: str) -> Tail | None:
        return self._streams.tails.get(stream_id)

    async def expire(self) -> None:
        self._streams.expire()
