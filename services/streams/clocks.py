"""The slow clocks, counted in the ticks of one sweeper task, instead of one timer for every stream."""

import math
from dataclasses import dataclass

SWEPT_AT_ONCE = 128
"""Streams or connections to tick before other tasks may run."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """`tick` in seconds; every other clock in ticks, rounded up."""

    tick: float
    heartbeat: int
    send: int
    orphan: int

    @classmethod
    def of(cls, *, heartbeat: float, send: float, orphan: float, whole: float) -> "Clocks":
        """From seconds: a tick is a quarter of the smallest clock, within 5 ms to 0.5 s.

        `whole` is the shortest limit that any stream has; each stream has its own.
        """
        tick = min(max(min(heartbeat, send, orphan, whole) / 4, 0.005), 0.5)
        return cls(tick, *(math.ceil(clock / tick) for clock in (heartbeat, send, orphan)))
