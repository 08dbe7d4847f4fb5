"""Models that keep failing are not asked for a while."""

from collections.abc import Callable

_FAILURES = 3


class Cooling:
    """Counts failures in a row. The third one starts a pause of `seconds`, and every further one starts it again.

    `clock` returns monotonic seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._failures: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def failed(self, model: str) -> None:
        """Count a failure of the model."""
        count = self._failures[model] = self._failures.get(model, 0) + 1
        if count >= _FAILURES and self._seconds:
            self._until[model] = self._clock() + self._seconds

    def answered(self, model: str) -> None:
        """The model has answered: forget its failures."""
        self._failures.pop(model, None)
        self._until.pop(model, None)

    def cold(self, model: str) -> bool:
        """Whether the model is paused now."""
        until = self._until.get(model)
        return until is not None and self._clock() < until
