"""Deletes the rows of keys that ended long ago; until then lists show what became of them."""

import asyncio
import time
from collections.abc import Callable

import structlog

from services.access.api_keys import KeyRepository

KEPT = 30 * 86_400.0
"""Seconds that a revoked or expired key is kept."""
_EVERY = 600.0

log = structlog.get_logger("keys")


class DeadKeys:
    """Looks for them every few minutes. `now` returns seconds since the Unix epoch."""

    def __init__(self, store: KeyRepository, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now

    async def run(self) -> None:
        """Look for ever. A failure is logged, and the next look comes all the same."""
        while True:
            await asyncio.sleep(_EVERY)
            try:
                await self.prune()
            except Exception as error:
                log.error("dead keys could not be deleted", exc_info=error)

    async def prune(self) -> None:
        """Delete all that have been dead for long enough. Other writers get their turn in between."""
        while await self._store.prune(self._now() - KEPT) > 0:
            pass
