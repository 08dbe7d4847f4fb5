"""Ends what a revoked or expired key still does: the streams that it started, and the connections that read with it."""

import asyncio
import time
from collections.abc import Callable

import structlog

from services.access.api_keys import KeyRepository
from services.access.auth_service import AuthService
from services.streams.readers import Readers
from services.streams.supervisor import Supervisor

EVERY = 4.0
"""Seconds between two looks. A checked key is cached for five more, and ten are promised in all."""

log = structlog.get_logger("keys")


class Revocations:
    """Checks every few seconds which keys in use are still valid. `now` returns seconds since the Unix epoch."""

    def __init__(
        self,
        store: KeyRepository,
        auth: AuthService,
        supervisor: Supervisor,
        readers: Readers,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._auth = auth
        self._supervisor = supervisor
        self._readers = readers
        self._now = now
        self._seen: set[str] = set()  # the invalid keys of the last look

    async def run(self) -> None:
        """Look every few seconds, for ever. A failure is logged, and the next look comes all the same."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.look()
            except Exception as error:
                log.error("the keys in use could not be checked", exc_info=error)

    async def look(self) -> None:
        """Cancel the streams of invalid keys, and cut the connections that read other streams with them.

        The readers of a stream that is cancelled here have until the next look to read its end.
        """
        used = self._supervisor.key_ids() | self._readers.key_ids()
        invalid = set(await self._store.unusable(list(used), self._now())) if used else set()
        self._auth.forget(invalid - self._seen)
        await self._supervisor.revoke(invalid)
        self._readers.cut(invalid, late=invalid & self._seen)
        self._seen = invalid
