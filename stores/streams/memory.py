"""The stream log of a single process: lists in memory, gone with it."""

import time
from collections.abc import Callable

from domain.events import Event, Terminal
from domain.streams import StreamInfo, started
from stores.streams.base import Appended, Claim, Listener, Tail
from stores.streams.local import LocalStreams


class MemoryStreamLog:
    """Keeps finished logs for `retention` seconds, and no more than `retained_bytes` of them."""

    shared = False

    def __init__(self, *, retention: float, retained_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._streams = LocalStreams(retention=retention, retained_bytes=retained_bytes, clock=clock)

    def __len__(self) -> int:
        return len(self._streams.tails)

    def listen(self, listener: Listener) -> None:
        """Nobody else does anything to these streams."""

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

    async def claim_key(self, owner: str, key: str, claim: Claim) -> Claim:
        return self._streams.claim_key(owner, key, claim)

    async def claimed(self, owner: str, key: str) -> Claim | None:
        return self._streams.claimed(owner, key)

    async def release_key(self, owner: str, key: str, stream_id: str) -> None:
        self._streams.release_key(owner, key, stream_id)

    async def read_elsewhere(self, stream_id: str) -> bool:
        return False

    async def left(self, tail: Tail) -> None:
        """Nothing is produced elsewhere."""

    async def reading(self, tail: Tail) -> None:
        """There is nobody to tell."""

    async def claim(self, tail: Tail, *, force: bool = False) -> bool:
        return False

    async def lost(self) -> list[Tail]:
        return []

    async def expire(self) -> None:
        self._streams.expire()

    async def close(self) -> None:
        """Nothing is held open."""
