"""How many streams each owner runs in this process."""

from domain.callers import Share, exceeded
from domain.streams import RETRY_AFTER


class RunningStreams:
    """Counts them, up to `limit` for one owner; `None` means no limit.

    A stream counts from before it is opened, so that of many requests at once no more get in than there is room for.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._running: dict[str, int] = {}

    def take(self, owner: str) -> None:
        """Count one more; raises `quota_exceeded`."""
        if self._limit is None:
            return
        running = self._running.get(owner, 0)
        if running >= self._limit:
            raise exceeded(Share("streams", self._limit, running), RETRY_AFTER)
        self._running[owner] = running + 1

    def give_back(self, owner: str) -> None:
        """Count one less."""
        if self._limit is None:
            return
        left = self._running[owner] - 1
        if left:
            self._running[owner] = left
        else:
            del self._running[owner]

    async def share(self, owner: str) -> Share | None:
        """What the owner uses; `None` if it is not limited."""
        return None if self._limit is None else Share("streams", self._limit, self._running.get(owner, 0))
