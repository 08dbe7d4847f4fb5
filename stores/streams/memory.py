"""The stream log of a single process: lists in memory, gone with it."""

import time
from collections import deque
from collections.abc import Callable

from domain.events import Delta, Event, Reasoning, Started, Terminal
from domain.streams import StreamInfo, text_size
from stores.streams.base import Appended, Tail

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

    def __len__(self) -> int:
        return len(self._tails)

    async def open(self, info: StreamInfo) -> Tail:
        tail = self._tails[info.id] = Tail(info)
        tail.events.append(Started(info.id, info.model, info.created))
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

    async def announce(self, tail: Tail) -> None:
        if tail.ended or tail.outcome is None:
            return
        tail.ended = True
        tail.events.append(tail.outcome)
        size = _LOG_BYTES + _EVENT_BYTES * len(tail.events) + tail.size
        self._finished.append((self._clock(), size, tail.info.id))
        self._finished_bytes += size
        for follower in tail.followers:
            follower.wake()

    async def find(self, stream_id: str) -> Tail | None:
        return self._tails.get(stream_id)

    async def expire(self) -> None:
        horizon = self._clock() - self._retention
        while self._finished and (self._finished[0][0] <= horizon or self._finished_bytes > self._retained_bytes):
            _, size, stream_id = self._finished.popleft()
            self._finished_bytes -= size
            del self._tails[stream_id]
