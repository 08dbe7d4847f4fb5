"""The stream log of a single process: lists in memory, gone with it."""

import time
from collections import deque
from collections.abc import Callable

from domain.events import Delta, Event, Reasoning, Terminal
from domain.streams import StreamInfo, started, text_size
from stores.streams.base import Appended, Claim, Tail

# What an event and a log cost beside their text, measured with sys.getsizeof on CPython 3.11.
_EVENT_BYTES = 110
_LOG_BYTES = 1_500


class MemoryStreamLog:
    """Keeps running logs whole, and finished ones first in, first out.

    A finished log goes after `retention` seconds, and earlier, oldest first, when all finished ones
    together hold more than `retained_bytes`. `clock` gives monotonic seconds.
    """

    def __init__(self, *, retention: float, retained_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._retention = retention
        self._retained_bytes = retained_bytes
        self._clock = clock
        self._tails: dict[str, Tail] = {}
        self._finished: deque[tuple[float, int, str]] = deque()
        self._finished_bytes = 0
        self._claims: dict[tuple[str, str], Claim] = {}
        self._keys: dict[str, tuple[str, str]] = {}  # by stream

    def __len__(self) -> int:
        return len(self._tails)

    async def open(self, info: StreamInfo) -> Tail:
        tail = self._tails[info.id] = Tail(info)
        tail.events.append(started(info))
        return tail

    async def append(self, tail: Tail, seq: int, event: Event) -> Appended:
        events = tail.events
        last = len(events)
        if tail.info.id not in self._tails:
            return Appended.MISSING
        if seq <= last:
            return Appended.DUPLICATE
        if tail.outcome is not None:
            return Appended.CLOSED
        if seq != last + 1:
            raise ValueError(f"event {seq} would leave a gap after {last}")
        events.append(event)
        if isinstance(event, Delta | Reasoning):
            tail.size += text_size(event.text)
        for follower in tail.followers:
            follower.wake()
        return Appended.OK

    async def seal(self, tail: Tail, outcome: Terminal) -> Terminal:
        if tail.outcome is None:
            tail.outcome = outcome
        return tail.outcome

    async def announce(self, tail: Tail, outcome: Terminal) -> None:
        if tail.ended or tail.outcome is None:
            return
        tail.ended = True
        tail.outcome = outcome
        tail.events.append(outcome)
        size = _LOG_BYTES + _EVENT_BYTES * len(tail.events) + tail.size
        self._finished.append((self._clock(), size, tail.info.id))
        self._finished_bytes += size
        for follower in tail.followers:
            follower.wake()

    async def drop(self, tail: Tail) -> None:
        if self._tails.pop(tail.info.id, None) is not None:
            self._free_key(tail.info.id)

    async def find(self, stream_id: str) -> Tail | None:
        return self._tails.get(stream_id)

    async def claim_key(self, owner: str, key: str, claim: Claim) -> Claim:
        bound = self._claims.setdefault((owner, key), claim)
        if bound is claim:
            self._keys[claim.stream_id] = (owner, key)
        return bound

    async def release_key(self, owner: str, key: str, stream_id: str) -> None:
        if self._keys.get(stream_id) == (owner, key):
            self._free_key(stream_id)

    async def read_elsewhere(self, stream_id: str) -> bool:
        return False

    async def reading(self, tail: Tail) -> None:
        """There is nobody to tell."""

    async def claim(self, tail: Tail, *, force: bool = False) -> bool:
        return False

    async def lost(self) -> list[Tail]:
        return []

    async def expire(self) -> None:
        horizon = self._clock() - self._retention
        while self._finished and (self._finished[0][0] <= horizon or self._finished_bytes > self._retained_bytes):
            _, size, stream_id = self._finished.popleft()
            self._finished_bytes -= size
            if self._tails.pop(stream_id, None) is not None:
                self._free_key(stream_id)

    async def close(self) -> None:
        """Nothing is held open."""

    def _free_key(self, stream_id: str) -> None:
        name = self._keys.pop(stream_id, None)
        if name is not None:
            del self._claims[name]
