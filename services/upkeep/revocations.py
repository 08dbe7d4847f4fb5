"""Ends what goes on under a key that is no longer good: streams it started, and connections that read under it."""

import asyncio
import time
from collections.abc import Callable

import structlog

from services.access.api_keys import KeyStore
from services.access.auth_service import AuthService
from services.streams.readers import Readers
from services.streams.supervisor import Supervisor

EVERY = 4.0
"""Seconds between two looks: with the five for which a key is remembered, less than the ten that are promised."""

log = structlog.get_logger("keys")


class Revocations:
    """Asks every few seconds which of the keys in use are still good. `now` gives seconds since the Unix epoch."""

    def __init__(
        self,
        store: KeyStore,
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
        self._told: set[str] = set()

    async def run(self) -> None:
        """Look for ever. A look that fails is logged, and the next one comes all the same."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.look()
            except Exception as error:
                log.error("the keys in use could not be checked", exc_info=error)

    async def look(self) -> None:
        """Cancel the streams of bad keys, and cut who reads other streams under them.

        Who reads a stream that ends so has until the next look to read its end.
        """
        used = self._supervisor.key_ids() | self._readers.key_ids()
        bad = set(await self._store.unusable(list(used), self._now())) if used else set()
        for key_id in bad - self._told:
            self._auth.forget(key_id)
        await self._supervisor.revoke(bad)
        self._readers.cut(bad, late=bad & self._told)
        self._told = bad
