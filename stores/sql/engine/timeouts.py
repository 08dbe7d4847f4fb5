"""How long to wait for a database."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for a turn (a connection, or the right to write), and for the work that follows."""

    turn: float = 5
    work: float = 10


TIMEOUTS = Timeouts()


class CutShort(Exception):  # noqa: N818 - the name says what happened
    """A scan has taken all the time that it was given; nothing of it counts."""
