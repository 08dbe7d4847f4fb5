"""The contract of a stream log.

A log holds one generation: events with dense sequence numbers from 1, one writer, any number of readers.
It ends in two steps that only ever go forward: *seal* fixes the outcome (one winner, no further event is
taken), *announce* appends the outcome as the last event. Between them the answer is saved.

Events reach a reader through a `Tail`, and only after the log has acknowledged them.

Where several processes share a log, each stream has one *producer*, the process that opened it, which holds a lease.
Any process may find, read, seal and so cancel it. Who finds the lease gone may *claim* the stream: the epoch grows by
one, and whatever the former producer still sends is *fenced*. A claimed stream is only ever ended, never continued.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from domain.events import Event, Terminal
from domain.streams import StreamInfo
from stores.streams.tail import Tail


class Appended(Enum):
    """What became of an append. Checked in this order: missing, fenced, duplicate, closed."""

    OK = auto()
    MISSING = auto()
    """The log is not there: never opened, or expired."""
    FENCED = auto()
    """Another process has claimed the stream: this one's producer must stop, and save nothing."""
    DUPLICATE = auto()
    """An event with this number is already there: a retry whose first answer was lost."""
    CLOSED = auto()
    """The outcome is fixed; nothing more is taken."""


class Fenced(Exception):  # noqa: N818 - what has happened, not that it is an error
    """The stream was claimed by another process, which ends it."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What an idempotency key is bound to: a stream, and the SHA-256 of the request that first used the key."""

    stream_id: str
    digest: bytes


class KeyBook(Protocol):
    """Which stream an idempotency key is bound to, for as long as that is kept."""

    async def bind(self, owner: str, key: str, binding: Binding) -> Binding:
        """Bind the key. The first caller's binding stands, and is what every caller gets back."""

    async def find(self, owner: str, key: str) -> Binding | None:
        """What the key is bound to."""

    async def release(self, owner: str, key: str, stream_id: str) -> None:
        """Free the key, if it is bound to this stream."""


class Listener(Protocol):
    """Whom a shared log tells of what other processes do to the streams produced here. None may raise or wait.

    Each may come more than once, and after the caller of the log has learned the same from an answer.
    """

    def sealed_elsewhere(self, stream_id: str) -> None:
        """Its outcome is fixed: save and announce it."""

    def fenced(self, stream_id: str) -> None:
        """It was claimed: stop the producer, and save nothing."""

    def left_elsewhere(self, stream_id: str) -> None:
        """The last reader that another process had has left."""


class Peers(Protocol):
    """The other processes that write to the same log."""

    def listen(self, listener: Listener) -> None:
        """Whom to tell from now on."""

    async def read_elsewhere(self, stream_id: str) -> bool:
        """Whether another process has, or had a moment ago, a reader of the stream."""

    async def left(self, tail: Tail) -> None:
        """The last reader here of a stream that is produced elsewhere has left: its producer is told."""

    async def reading(self, tail: Tail) -> None:
        """The stream's state has just been asked for here: that counts as reading."""

    async def claim(self, tail: Tail, *, force: bool = False) -> bool:
        """Take the stream over, to end it; false if its producer still has a lease, which `force` does not ask for.

        False too for a stream that this version does not understand: it is left to a newer one.
        """

    async def lost(self) -> list[Tail]:
        """Streams of other processes whose lease is gone, claimed by this call; to be ended by who called.

        Those that this version does not understand are left to newer ones.
        """


class StreamLog(Protocol):
    """Where streams are written, and found again. `peers` is `None` if no other process can read it."""

    @property
    def keys(self) -> KeyBook: ...

    @property
    def peers(self) -> Peers | None: ...

    async def open(self, info: StreamInfo) -> Tail:
        """Make the log of a new stream and write its `Started` event, number 1."""

    async def append(self, tail: Tail, seq: int, event: Event) -> Appended:
        """Write event number `seq`; wake the followers. A gap is a `ValueError`: the writer is wrong."""

    async def seal(self, tail: Tail, outcome: Terminal) -> Terminal:
        """Fix the outcome, from any process. The first caller's stands, and is what every caller gets back.

        A producer that was fenced meanwhile gets `Fenced`. One that is somewhere else is told; `log_unavailable` where
        it cannot be reached, `stream_not_found` where its stream is no longer there.
        """

    async def announce(self, tail: Tail, outcome: Terminal) -> None:
        """Append the sealed outcome as the last event; once, however often it is called.

        `outcome` may say more exactly what the sealed one says: what was spent, or that it was not saved. Only the
        producer, or who has claimed the stream, may announce: `Fenced` for everybody else.
        """

    async def drop(self, tail: Tail) -> None:
        """Forget a stream that never came to be: its log, and with it its idempotency key."""

    async def find(self, stream_id: str) -> Tail | None:
        """The tail of a running or retained stream; `None` for an unknown or expired one.

        A tail that is produced elsewhere is followed from then on for as long as it has followers.
        `log_unavailable` where other processes' streams cannot be looked up now.
        """

    async def expire(self) -> None:
        """Let go of finished logs that are older, or in all larger, than the settings allow."""
