"""When to try again what failed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often to try again, and how long to wait before each time, in seconds.

    The wait doubles from `first`, is cut to between half and all of that at random, and is at least what the other side
    asks for; `longest` caps both.
    """

    retries: int = 2
    first: float = 0.5
    longest: float = 20.0

    def delay(self, attempt: int, retry_after: int | None, chance: float) -> float:
        """Seconds to wait after attempt number `attempt`, from 1; `chance` is a random number from 0 to 1."""
        wait: float = min(self.first * 2 ** (attempt - 1) * (1 + chance) / 2, self.longest)
        if retry_after is None:
            return wait
        return max(wait, min(retry_after, self.longest) + self.first * chance / 4)
