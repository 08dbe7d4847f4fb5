"""What a process holds of one stream's log, and who waits for its next event."""

from typing import Protocol

from domain.events import SAID, Event, Terminal, understood
from domain.streams import KINDS, StreamInfo, size_of


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
