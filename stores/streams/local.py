"""The streams that this process writes, in memory: all of a single process's log, and half of a shared one.

Nothing here waits. Only events that the log has acknowledged can be read here.
"""

import time
from collections import deque
from collections.abc import Callable

from domain.events import Event, Terminal
from stores.streams.base import Appended, Binding
from stores.streams.tail import Tail

# The bytes that an event and a log take in addition to their text, measured with sys.getsizeof on CPython 3.11.
EVENT_BYTES = 110
LOG_BYTES = 1_500


class LocalStreams:
    """Keeps all running streams, and the finished ones in a first-in, first-out queue.

    A finished stream is deleted after `retention` seconds, or earlier, oldest first, when all finished ones together
    take more than `retained_bytes`. `clock` returns monotonic seconds.
    """

    def __init__(self, *, retention: float, retained_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._retention = retention
        self._retained_bytes = retained_bytes
        self._clock = clock
        self._finished: deque[tuple[float, int, str]] = deque()
        self._finished_bytes = 0
        self._bindings: dict[tuple[str, str], Binding] = {}
        self._keys: dict[str, tuple[str, str]] = {}  # by stream
        self.tails: dict[str, Tail] = {}

    def add(self, tail: Tail) -> None:
        """Keep the tail under its stream's id."""
        self.tails[tail.info.id] = tail

    def append(self, tail: Tail, seq: int, event: Event) -> Appended:
        """Add event number `seq`; raises `ValueError` for a gap."""
        last = len(tail.events)
        if tail.info.id not in self.tails:
            return Appended.MISSING
        if seq <= last:
            return Appended.DUPLICATE
        if tail.outcome is not None:
            return Appended.CLOSED
        if seq != last + 1:
            raise ValueError(f"event {seq} would leave a gap after {last}")
        tail.publish(event)
        return Appended.OK

    def seal(self, tail: Tail, outcome: Terminal) -> Terminal:
        """Fix the outcome if there is none yet; returns the fixed one."""
        if tail.outcome is None:
            tail.outcome = outcome
        return tail.outcome

    def announce(self, tail: Tail, outcome: Terminal) -> None:
        """Append the outcome as the last event and count the stream as finished. Does nothing before the seal."""
        if tail.ended or tail.outcome is None:
            return
        tail.finish(outcome)
        if tail.info.id in self.tails:
            size = LOG_BYTES + EVENT_BYTES * len(tail.events) + tail.size
            self._finished.append((self._clock(), size, tail.info.id))
            self._finished_bytes += size

    def remove(self, stream_id: str) -> None:
        """Delete the stream and its idempotency key."""
        if self.tails.pop(stream_id, None) is not None:
            self._free_key(stream_id)

    def bound(self, owner: str, key: str) -> Binding | None:
        """The idempotency key's binding in this process, `None` if it has none."""
        return self._bindings.get((owner, key))

    def bind(self, owner: str, key: str, binding: Binding) -> Binding:
        """Bind the key to a stream that is kept here; returns the first binding."""
        standing = self._bindings.setdefault((owner, key), binding)
        if standing is binding:
            self._keys[binding.stream_id] = (owner, key)
        return standing

    def release(self, owner: str, key: str, stream_id: str) -> None:
        """Free the key if it is bound to this stream."""
        if self._keys.get(stream_id) == (owner, key):
            self._free_key(stream_id)

    def expire(self) -> None:
        """Delete finished streams that are too old, and the oldest if all together are too large."""
        horizon = self._clock() - self._retention
        while self._finished and (self._finished[0][0] <= horizon or self._finished_bytes > self._retained_bytes):
            _, size, stream_id = self._finished.popleft()
            self._finished_bytes -= size
            self.remove(stream_id)

    def _free_key(self, stream_id: str) -> None:
        name = self._keys.pop(stream_id, None)
        if name is not None:
            del self._bindings[name]
