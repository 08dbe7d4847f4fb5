"""The interface of a stream log.

A log holds one stream: events with dense sequence numbers from 1, one writer, and any number of readers. It ends in
two steps that are never undone: *seal* fixes the outcome (the first one wins, and no more events are accepted), and
*announce* appends the outcome as the last event. Between the two, the answer is saved.

Events reach a reader through a `Tail`, and only after the log has acknowledged them.

If several processes share a log, each stream has one *producer*, the process that opened it, which holds a lease.
Any process may find, read and seal a stream, and so cancel it. A process that finds the lease gone may *claim* the
stream: the epoch grows by one, and whatever the former producer still sends is *fenced*. A claimed stream is ended,
never continued.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from domain.events import Event, Terminal
from domain.streams import StreamInfo
from stores.streams.tail import Tail


class Appended(Enum):
    """The result of an append. The log checks in this order: missing, fenced, duplicate, closed."""

    OK = auto()
    MISSING = auto()
    """There is no log: it was never opened, or has expired."""
    FENCED = auto()
    """Another process has claimed the stream: the producer here must stop, and save nothing."""
    DUPLICATE = auto()
    """The log already has an event with this number: the append is a retry whose first reply was lost."""
    CLOSED = auto()
    """The outcome is fixed; no more events are accepted."""


class Fenced(Exception):  # noqa: N818 - the name says what happened
    """Another process has claimed the stream, and ends it."""


@dataclass(frozen=True, slots=True)
class Binding:
    """The stream that an idempotency key is bound to, and the SHA-256 of the request that first used the key."""

    stream_id: str
    digest: bytes


class KeyBook(Protocol):
    """Which streams idempotency keys are bound to.

    A binding is forgotten with a stream that was dropped, or else when the retention of its stream is over, even if
    the log itself had to be deleted before that.
    """

    async def bind(self, owner: str, key: str, binding: Binding) -> Binding:
        """Bind the key. Every caller gets the first caller's binding."""

    async def find(self, owner: str, key: str) -> Binding | None:
        """The key's binding, `None` if it has none."""

    async def release(self, owner: str, key: str, stream_id: str) -> None:
        """Free the key if it is bound to this stream."""


class Listener(Protocol):
    """Notified by a shared log of what other processes do to streams produced here. No method may raise or wait.

    A notification may come more than once, and may come after a call to the log has returned the same fact.
    """

    def sealed_elsewhere(self, stream_id: str) -> None:
        """The stream's outcome is fixed: save and announce it."""

    def fenced(self, stream_id: str) -> None:
        """The stream was claimed: stop its producer, and save nothing."""

    def left_elsewhere(self, stream_id: str) -> None:
        """The last reader of the stream in another process has left."""


class Peers(Protocol):
    """The other processes that share the log."""

    def listen(self, listener: Listener) -> None:
        """Set the listener to notify from now on."""

    async def read_elsewhere(self, stream_id: str) -> bool:
        """Whether another process has a reader of the stream, or had one a moment ago."""

    async def left(self, tail: Tail) -> None:
        """Notify the producer, in another process, that the last reader here has left."""

    async def reading(self, tail: Tail) -> None:
        """Count this process as a reader: a client here has just asked for the stream's state."""

    async def claim(self, tail: Tail, *, force: bool = False) -> bool:
        """Take over the stream in order to end it. `force` claims it even if its producer still has a lease.

        Returns false if the producer has a lease, or if this version does not understand the stream, which is then
        left to a newer one.
        """

    async def lost(self) -> list[Tail]:
        """Claim streams of other processes whose lease is gone. The caller must end them.

        Those that this version does not understand are left to newer ones.
        """


class StreamLog(Protocol):
    """Where streams are written and found. `peers` is `None` if no other process can read the log."""

    @property
    def keys(self) -> KeyBook: ...

    @property
    def peers(self) -> Peers | None: ...

    async def open(self, info: StreamInfo) -> Tail:
        """Create the log of a new stream and write its `Started` event, number 1."""

    async def append(self, tail: Tail, seq: int, event: Event) -> Appended:
        """Write event number `seq` and wake the followers. Raises `ValueError` for a gap, a mistake of the writer."""

    async def seal(self, tail: Tail, outcome: Terminal) -> Terminal:
        """Fix the outcome, from any process. Every caller gets the first caller's outcome.

        Raises `Fenced` to a producer that was fenced. A producer in another process is notified; raises
        `log_unavailable` if the log cannot be reached, `stream_not_found` if the stream no longer exists.
        """

    async def announce(self, tail: Tail, outcome: Terminal) -> None:
        """Append the sealed outcome as the last event. Only the first call appends it.

        `outcome` may be more precise than the sealed one, and say what was spent, or that the answer was not saved.
        Only the producer, or the process that has claimed the stream, may announce; others get `Fenced`.
        """

    async def drop(self, tail: Tail) -> None:
        """Delete the log and the idempotency key of a stream that was not started after all."""

    async def find(self, stream_id: str) -> Tail | None:
        """The tail of a running or retained stream; `None` for an unknown or expired one.

        The tail of a stream that is produced elsewhere is kept up to date while it has followers. Raises
        `log_unavailable` if other processes' streams cannot be looked up now.
        """

    async def expire(self) -> None:
        """Delete finished logs that are older than the settings allow, and, if together they are larger, the oldest of
        the owner whose logs are largest."""
