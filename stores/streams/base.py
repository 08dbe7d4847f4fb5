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

from domain.events import SAID, Event, Terminal, understood
from domain.streams import KINDS, StreamInfo, size_of


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


class Follower(Protocol):
    """Somebody who reads a tail."""

    def wake(self) -> None:
        """There is something new. Called once an event: it must return at once and never raise."""

    def cut(self) -> None:
        """The tail cannot be read on here: leave without an end, so that the client comes back with its cursor."""


class Tail:
    """What this process knows of one stream: its acknowledged events, and who waits for the next.

    Event number `n` is `events[n - 1]`. `outcome` is set by the seal, `ended` by the announcement. `produced_here`
    says that this process writes it, were it only its end, after a claim; `shared` that other processes can read it.
    `fenced` says that it was written here until another process claimed it, and is only followed since.
    """

    __slots__ = (
        "ended",
        "epoch",
        "events",
        "fenced",
        "followers",
        "info",
        "outcome",
        "produced_here",
        "shared",
        "size",
    )

    def __init__(self, info: StreamInfo, *, produced_here: bool = True, shared: bool = False, epoch: int = 0) -> None:
        self.info = info
        self.events: list[Event] = []
        self.followers: list[Follower] = []
        self.outcome: Terminal | None = None
        self.ended = False
        self.size = 0
        """Bytes of what the model has said, in UTF-8."""
        self.produced_here = produced_here
        self.shared = shared
        self.epoch = epoch
        self.fenced = False

    @property
    def understood(self) -> bool:
        """Whether this version knows all that is in the log. Otherwise it must not end the stream, nor store it."""
        known = self.outcome is None or understood(self.outcome)
        return known and self.info.kind in KINDS and all(map(understood, self.events))

    def publish(self, event: Event) -> None:
        """Show the next event to the followers."""
        self.events.append(event)
        if isinstance(event, SAID):
            self.size += size_of(event)
        for follower in self.followers:
            follower.wake()

    def finish(self, outcome: Terminal) -> None:
        """Show the last event."""
        self.outcome = outcome
        self.ended = True
        self.publish(outcome)

    def cut(self) -> None:
        """Send all followers away: from here they would learn no more."""
        for follower in list(self.followers):
            follower.cut()


@dataclass(frozen=True, slots=True)
class Claim:
    """An idempotency key's stream, and the SHA-256 of the request that it was first used with."""

    stream_id: str
    digest: bytes


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


class StreamLog(Protocol):
    """Where streams are written, and found again. `shared` says whether other processes can, too."""

    shared: bool

    def listen(self, listener: Listener) -> None:
        """Whom to tell from now on."""

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

    async def claim_key(self, owner: str, key: str, claim: Claim) -> Claim:
        """Bind an idempotency key to a stream, for as long as that is kept. The first caller's stands."""

    async def claimed(self, owner: str, key: str) -> Claim | None:
        """What the key is bound to."""

    async def release_key(self, owner: str, key: str, stream_id: str) -> None:
        """Free the key, if it is bound to this stream."""

    async def read_elsewhere(self, stream_id: str) -> bool:
        """Whether another process has, or had a moment ago, a reader of the stream."""

    async def left(self, tail: Tail) -> None:
        """The last reader here of a stream that is produced elsewhere has left: its producer is told."""

    async def reading(self, tail: Tail) -> None:
        """Somebody has just asked for the stream's state: that counts as reading."""

    async def claim(self, tail: Tail, *, force: bool = False) -> bool:
        """Take the stream over, to end it; false if its producer still has a lease, which `force` does not ask for.

        False too for a stream that this version does not understand: it is left to a newer one.
        """

    async def lost(self) -> list[Tail]:
        """Streams of other processes whose lease is gone, claimed by this call; to be ended by who called.

        Those that this version does not understand are left to newer ones.
        """

    async def expire(self) -> None:
        """Let go of finished logs that are older, or in all larger, than the settings allow."""

    async def close(self) -> None:
        """Let go of connections and tasks."""
