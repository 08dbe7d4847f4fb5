"""The tail of a stream's log: the events that this process holds, and the followers to wake."""

from typing import Protocol

from domain.events import SAID, Event, Terminal, understood
from domain.streams import KINDS, StreamInfo, size_of


class Follower(Protocol):
    """A reader of a tail."""

    def wake(self) -> None:
        """There is a new event. Called for every event, so it must return at once and never raise."""

    def cut(self) -> None:
        """The tail cannot be read any further here: leave without an end, so that the client resumes elsewhere."""


class Tail:
    """One stream's acknowledged events that this process has, and the followers that wait for the next one.

    Event number `n` is `events[n - 1]`. `outcome` is set by the seal, `ended` by the announcement. `produced_here`
    says that this process writes the stream, even if it only writes the end, after a claim; `shared` that other
    processes can read it; `fenced` that it was written here until another process claimed it, and is now only followed.
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
        """Bytes of the model's output so far, in UTF-8."""
        self.produced_here = produced_here
        self.shared = shared
        self.epoch = epoch
        self.fenced = False

    @property
    def understood(self) -> bool:
        """Whether this version knows everything in the log. If not, it must neither end the stream nor store it."""
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
        """Show the outcome as the last event."""
        self.outcome = outcome
        self.ended = True
        self.publish(outcome)

    def cut(self) -> None:
        """Send all followers away: they would get no more events from here."""
        for follower in list(self.followers):
            follower.cut()
