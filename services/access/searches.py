"""Turns for what looks through much of an owner's data: one owner's searches must not take every reader there is.

Turns are taken before anything is asked of the database, whose few readers all owners share. They are counted in this
process alone.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from domain.callers import Share, exceeded
from domain.streams import RETRY_AFTER

WAIT_SECONDS = 10.0
"""How long a search waits for its turn; part of something larger waits three times as long."""
_WAITING_FOR_EACH = 4


@dataclass(slots=True)
class _Line:
    """One owner's searches: the turns, and how many have one or wait for one."""

    turns: asyncio.Semaphore
    inside: int = 0


class Searches:
    """Lets `at_once` searches of an owner run and four times as many wait, first come, first served.

    `None` means no limit.
    """

    def __init__(self, at_once: int | None, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._at_once = at_once or 0
        self._most = self._at_once * (1 + _WAITING_FOR_EACH)
        self._wait_seconds = wait_seconds
        self._lines: dict[str, _Line] = {}

    @asynccontextmanager
    async def turn(self, owner: str, *, part: bool = False) -> AsyncIterator[None]:
        """Wait for a turn, and have it inside; raises `quota_exceeded` if too many wait, or that takes too long.

        A `part` of something that has begun, and has a limit of its own, waits however many others do.
        """
        if not self._at_once:
            yield
            return
        line = self._lines.get(owner)
        if line is None:
            line = self._lines[owner] = _Line(asyncio.Semaphore(self._at_once))
        if line.inside >= self._most and not part:
            raise self._refusal(line)
        line.inside += 1
        try:
            await self._take(line, self._wait_seconds * 3 if part else self._wait_seconds)
            try:
                yield
            finally:
                line.turns.release()
        finally:
            line.inside -= 1
            if not line.inside:
                del self._lines[owner]

    async def share(self, owner: str) -> Share | None:
        """What the owner uses, with what waits; `None` if it is not limited."""
        line = self._lines.get(owner)
        return Share("searches", self._most, line.inside if line else 0) if self._at_once else None

    async def _take(self, line: _Line, seconds: float) -> None:
        if not line.turns.locked():
            await line.turns.acquire()  # at once: no timer is made for it
            return
        try:
            async with asyncio.timeout(seconds):
                await line.turns.acquire()
        except TimeoutError:
            raise self._refusal(line) from None

    def _refusal(self, line: _Line) -> Exception:
        return exceeded(Share("searches", self._most, line.inside), RETRY_AFTER)
