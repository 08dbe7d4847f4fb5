"""Conversations as their owners see them. What is another's does not exist: it is answered like what never was."""

from collections.abc import AsyncIterator, Sequence
from time import time
from typing import Protocol, TypeVar

from domain.callers import Caller
from domain.errors import StreamForgeError
from domain.events import writable
from domain.messages import Found, Message, Page, Session
from services.storage import Storage

T = TypeVar("T")

_EXPORT_PAGE = 200


class Stop(Protocol):
    """Stops streams whose sessions are gone."""

    async def __call__(self, stream_ids: Sequence[str]) -> None:
        """Returns when their outcome is fixed."""


class SessionService:
    """Sessions, their history, and the search in it."""

    def __init__(self, storage: Storage, stop: Stop) -> None:
        self._storage = storage
        self._stop = stop

    async def create(self, caller: Caller, *, title: str | None, client_id: str | None) -> Session:
        """Open a session, or find the caller's own with this client id."""
        stores = await self._storage.open()
        return await stores.sessions.create(caller.id, title=title, client_id=client_id, now=time())

    async def page(self, caller: Caller, cursor: str | None, limit: int) -> Page[Session]:
        """A page, the session that was used last first."""
        stores = await self._storage.open()
        return await stores.sessions.list(caller.id, cursor, limit)

    async def get(self, caller: Caller, session_id: str) -> Session:
        """The caller's session, or `session_not_found`."""
        stores = await self._storage.open()
        return _found(await stores.sessions.get(caller.id, session_id))

    async def rename(self, caller: Caller, session_id: str, title: str) -> Session:
        """Set the title for good."""
        stores = await self._storage.open()
        return _found(await stores.sessions.rename(caller.id, session_id, title))

    async def delete(self, caller: Caller, session_id: str) -> None:
        """Delete the session, and stop what answers in it."""
        stores = await self._storage.open()
        await self._stop(_found(await stores.sessions.delete(caller.id, session_id)))

    async def clear(self, caller: Caller, session_id: str) -> None:
        """Delete the messages, and stop what answers."""
        stores = await self._storage.open()
        await self._stop(_found(await stores.sessions.clear(caller.id, session_id)))

    async def delete_all(self, caller: Caller) -> None:
        """Delete everything that was ever said."""
        stores = await self._storage.open()
        await self._stop(await stores.sessions.delete_all(caller.id))

    async def activate(self, caller: Caller, session_id: str, message_id: str) -> Session:
        """Make the branch with this message the active one."""
        stores = await self._storage.open()
        return await stores.messages.activate(caller.id, session_id, message_id)

    async def search(self, caller: Caller, words: str, cursor: str | None, limit: int) -> Page[Found]:
        """A page of the caller's messages that hold all the words, newest first."""
        stores = await self._storage.open()
        return await stores.messages.search(caller.id, writable(words), cursor, limit)

    async def history(
        self, caller: Caller, session_id: str, cursor: str | None, limit: int, *, whole: bool
    ) -> Page[Message]:
        """A page of the active branch, or of all messages, oldest first."""
        stores = await self._storage.open()
        return await stores.messages.history(caller.id, session_id, cursor, limit, whole=whole)

    async def whole(self, caller: Caller, session_id: str) -> AsyncIterator[list[Message]]:
        """The active branch, page by page."""
        cursor: str | None = None
        while True:
            page = await self.history(caller, session_id, cursor, _EXPORT_PAGE, whole=False)
            yield page.items
            cursor = page.next
            if cursor is None:
                return


def _found(thing: T | None) -> T:
    if thing is None:
        raise StreamForgeError("session_not_found")
    return thing
