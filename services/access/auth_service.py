"""Identifies the caller of a request, and caches the result for a few seconds."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol

from domain.callers import Caller
from domain.errors import StreamForgeError

REMEMBERED = 10_000
"""The most credentials that are cached; the least recently used are dropped first."""
MEMORY_SECONDS = 5.0
"""Seconds. Together with the check of live streams (`services/upkeep/revocations.py`) it limits what a revoked key can
do."""
LONGEST = 8_192


class Known(NamedTuple):
    """A caller, and when the credential expires, in seconds since the Unix epoch."""

    caller: Caller
    expires: float | None


class Credentials(Protocol):
    """A kind of credential."""

    async def check(self, text: str) -> Known | None:
        """The caller it belongs to; `None` for whatever is wrong with it, without saying what.

        Raises `auth_unavailable` or `storage_unavailable` if that cannot be found out now.
        """


class AuthService:
    """Identifies callers by their credential. `clock` returns monotonic seconds, `now` seconds since the Unix epoch."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        self._now = now
        # Keyed by the hash of the whole credential: part of one, or another with the same id, finds nothing.
        self._known: OrderedDict[bytes, tuple[float, Known]] = OrderedDict()

    async def identify(self, authorization: Sequence[bytes]) -> Caller:
        """The caller, from the values of the `Authorization` headers; raises `unauthenticated` unless exactly one is
        good."""
        text = _bearer(authorization)
        name = hashlib.sha256(text.encode()).digest()
        known = self._remembered(name)
        if known is None:
            known = await self._credentials.check(text)
            if known is None or self._ended(known):
                raise StreamForgeError("unauthenticated")
            self._remember(name, known)
        return known.caller

    def forget(self, key_ids: Collection[str]) -> None:
        """Remove the credentials with these ids from the cache: they are no longer valid."""
        for name in [name for name, (_, known) in self._known.items() if known.caller.key_id in key_ids]:
            del self._known[name]

    def _remembered(self, name: bytes) -> Known | None:
        found = self._known.get(name)
        if found is None:
            return None
        since, known = found
        if self._clock() - since < MEMORY_SECONDS and not self._ended(known):
            return known
        del self._known[name]
        return None

    def _remember(self, name: bytes, known: Known) -> None:
        self._known[name] = (self._clock(), known)
        self._known.move_to_end(name)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _ended(self, known: Known) -> bool:
        return known.expires is not None and known.expires <= self._now()


def _bearer(authorization: Sequence[bytes]) -> str:
    """The single credential in `Authorization: Bearer ...`."""
    if len(authorization) == 1 and len(authorization[0]) <= LONGEST and authorization[0].isascii():
        scheme, _, text = authorization[0].decode().strip().partition(" ")
        if scheme.lower() == "bearer" and text:
            return text.strip()
    raise StreamForgeError("unauthenticated")
