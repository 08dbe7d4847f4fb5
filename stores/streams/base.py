"""The contract of a stream log.

A log holds one generation: events with dense sequence numbers from 1, one writer, any number of readers.
It ends in two steps that only ever go forward: *seal* fixes the outcome (one winner, no further event is
taken), *announce* appends the outcome as the last event.

Events reach a reader through a `Tail`, and only after the log has acknowledged them.
"""

from enum import Enum, auto
from typing import Protocol

from domain.events import Event, Terminal
from domain.streams import StreamInfo


class Appended(Enum):
    """What became of an append. Checked in this order: missing, duplicate, closed."""

    OK = auto()
    MISSING = auto()
    """The log is not there: never opened, or expired."""
    DUPLICATE = auto()
    """An event with this number is already there: a retry whose first answer was lost."""
    CLOSED = auto()
    """The outcome is fixed; nothing more is taken."""


class Follower(Protocol):
    """Somebody who reads a tail."""

    def wake(self) -> None:
        """There is something new. Called once an event: it must return at once and never raise."""


class Tail:
    """What this process knows of one stream: its acknowledged events, and who waits for the next.

    Event number `n` is `events[n - 1]`. `outcome` is set by the seal, `ended` by the announcement.
    """

    __slots__ = ("ended", "events", "followers", "info", "outcome", "size")

    def __init__(self, info: StreamInfo) -> None:
        self.info = info
        self.events: list[Event] = []
        self.followers: list[Follower] = []
        self.outcome: Terminal | None = None
        self.ended = False
        self.size = 0
        """Bytes of text held, in UTF-8."""


class StreamLog(Protocol):
    """Where streams are written, and found again."""

    async def open(self, info: StreamInfo) -> Tail:
        """Make the log of a new stream and write its `Started` event, number 1."""

    async def append(self, tail: Tail, seq: int, event: Event) -> Appended:
        """Write event number `seq`; wake the followers. A gap is a `ValueError`: the writer is wrong."""

    async def seal(self, tail: Tail, outcome: Terminal) -> Terminal:
        """Fix the outcome. The first caller's stands, and is what every caller gets back."""

    async def announce(self, tail: Tail) -> None:
        """Append the sealed outcome as the last event; once, however often it is called."""

    async def find(self, stream_id: str) -> Tail | None:
        """The tail of a running or retained stream; `None` for an unknown or expired one."""

    async def expire(self) -> None:
        """Let go of finished logs that are older, or in all larger, than the settings allow."""
