"""What each owner may have and has, as `GET /usage` shows it."""

from collections.abc import Sequence
from typing import Protocol

from domain.callers import Caller, OwnerLimits, Share
from services.storage import Storage


class Counted(Protocol):
    """Counts what owners use of one thing."""

    async def share(self, owner: str) -> Share | None:
        """What the owner uses; `None` if it is not limited."""


class Shares:
    """Everything that is limited: what `counted` counts in this process, and what the database holds."""

    def __init__(self, storage: Storage, limits: OwnerLimits, counted: Sequence[Counted]) -> None:
        self._sessions = storage.sessions
        self._documents = storage.documents
        self._limits = limits
        self._counted = counted

    async def of(self, caller: Caller) -> list[Share]:
        """The caller's shares, without what is not limited."""
        owner, limits = caller.id, self._limits
        shares = [share for each in self._counted if (share := await each.share(owner)) is not None]
        if limits.stored_bytes is not None or limits.documents is not None:
            documents, size = await self._documents.stored(owner)
            if limits.stored_bytes is not None:
                shares.append(Share("stored_bytes", limits.stored_bytes, size))
            if limits.documents is not None:
                shares.append(Share("documents", limits.documents, documents))
        if limits.sessions is not None:
            shares.append(Share("sessions", limits.sessions, await self._sessions.count(owner)))
        return shares
