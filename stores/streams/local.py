"""The streams that this process writes, in memory: all of a single process's log, and half of a shared one.

Nothing here waits. Only events that the log has acknowledged can be read here.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

from domain.events import Event, Terminal
from stores.streams.base import Appended, Binding
from stores.streams.holdings import Holdings
from stores.streams.tail import Tail

# The bytes that an event and a log take in addition to their text, measured with sys.getsizeof on CPython 3.11.
EVENT_BYTES = 110
LOG_BYTES = 1_500

MAX_CLAIMS = 100_000
"""The most idempotency keys that are remembered for streams whose logs are gone."""


class LocalStreams:
    """Keeps all running streams, and the finished ones for `retention` seconds.

    When all finished ones together take more than `retained_bytes`, the owner whose logs take most loses its oldest.
    The idempotency key of that stream stays bound for the whole retention, so that a repeated request starts no second
    stream; of more than `claims` such keys, the owner that has most loses its oldest. `clock` returns monotonic
    seconds.
    """

    def __init__(
        self,
        *,
        retention: float,
        retained_bytes: int,
        clock: Callable[[], float] = time.monotonic,
        claims: int = MAX_CLAIMS,
    ) -> None:
        self._retention = retention
        self._retained_bytes = retained_bytes
        self._clock = clock
        self._most_claims = claims
        self._ended: OrderedDict[str, tuple[float, str]] = OrderedDict()  # when, and the owner; the first to end first
        self._logs = Holdings()  # bytes of finished streams
        self._claims = Holdings()  # finished streams that have a key, and no log any more
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
            self._ended[tail.info.id] = (self._clock(), tail.info.owner)
            self._logs.add(tail.info.owner, tail.info.id, size)

    def remove(self, stream_id: str) -> None:
        """Delete the stream and its idempotency key."""
        self.tails.pop(stream_id, None)
        self._free_key(stream_id)
        _, owner = self._ended.pop(stream_id, (0.0, ""))
        self._logs.remove(owner, stream_id)
        self._claims.remove(owner, stream_id)

    def bound(self, owner: str, key: str) -> Binding | None:
        """The idempotency key's binding in this process, `None` if it has none."""
        return self._bindings.get((owner, key))

    def bind(self, owner: str, key: str, binding: Binding) -> Binding:
        """Bind the key to a stream that is kept here; returns the first binding."""
        if binding.stream_id not in self.tails:  # another process has claimed it meanwhile
            return self._bindings.get((owner, key), binding)
        standing = self._bindings.setdefault((owner, key), binding)
        if standing is binding:
            self._keys[binding.stream_id] = (owner, key)
        return standing

    def release(self, owner: str, key: str, stream_id: str) -> None:
        """Free the key if it is bound to this stream."""
        if self._keys.get(stream_id) == (owner, key):
            self._free_key(stream_id)

    def expire(self) -> None:
        """Delete finished streams that are too old, and some logs if all together are too large."""
        horizon = self._clock() - self._retention
        while self._ended:
            stream_id, (ended, _) = next(iter(self._ended.items()))
            if ended > horizon:
                break
            self.remove(stream_id)
        while self._logs.weight > self._retained_bytes and (oldest := self._logs.oldest_of_heaviest()) is not None:
            self._evict(*oldest)
        while self._claims.weight > self._most_claims and (oldest := self._claims.oldest_of_heaviest()) is not None:
            self.remove(oldest[1])

    def _evict(self, owner: str, stream_id: str) -> None:
        """Delete the log of a finished stream. Its idempotency key, if it has one, is kept."""
        if stream_id not in self._keys:
            self.remove(stream_id)
            return
        self.tails.pop(stream_id, None)
        self._logs.remove(owner, stream_id)
        self._claims.add(owner, stream_id, 1)

    def _free_key(self, stream_id: str) -> None:
        name = self._keys.pop(stream_id, None)
        if name is not None:
            del self._bindings[name]
