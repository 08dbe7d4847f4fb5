"""Sessions as their owners see them. For every caller, another owner's session does not exist."""

from collections.abc import AsyncIterator, Sequence
from time import time
from typing import Protocol, TypeVar

from domain.callers import Caller
from domain.errors import StreamForgeError
from domain.messages import Found, Message, Page, Session
from domain.text import writable
from services.access.searches import Searches
from services.storage import Storage

T = TypeVar("T")

_EXPORT_PAGE = 200


class StopStreams(Protocol):
    """Stops streams whose sessions are gone."""

    async def __call__(self, stream_ids: Sequence[str]) -> None:
        """Returns when the outcome of each is fixed."""


class SessionService:
    """Sessions, `most` for one owner, their history, and the search in their messages, which is done in turns."""

    def __init__(self, storage: Storage, stop: StopStreams, searches: Searches, *, most: int | None = None) -> None:
        self._sessions = storage.sessions
        self._messages = storage.messages
        self._stop = stop
        self._searches = searches
        self._most = most

    async def create(self, caller: Caller, *, title: str | None, client_id: str | None) -> Session:
        """Create a session, or return the caller's own with this client id; raises `quota_exceeded`."""
        return await self._sessions.create(caller.id, title=title, client_id=client_id, now=time(), most=self._most)

    async def page(self, caller: Caller, cursor: str | None, limit: int) -> Page[Session]:
        """A page of the caller's sessions, the last used one first."""
        return await self._sessions.list(caller.id, cursor, limit)

    async def get(self, caller: Caller, session_id: str) -> Session:
        """The caller's session; raises `session_not_found`."""
        return _found(await self._sessions.get(caller.id, session_id))

    async def rename(self, caller: Caller, session_id: str, title: str) -> Session:
        """Set the title; no model replaces it any more."""
        return _found(await self._sessions.rename(caller.id, session_id, title))

    async def delete(self, caller: Caller, session_id: str) -> None:
        """Delete the session, and stop the answer that runs in it."""
        await self._stop(_found(await self._sessions.delete(caller.id, session_id)))

    async def clear(self, caller: Caller, session_id: str) -> None:
        """Delete the session's messages, and stop the answer that runs in it."""
        await self._stop(_found(await self._sessions.clear(caller.id, session_id)))

    async def delete_all(self, caller: Caller) -> None:
        """Delete all sessions of the caller, and stop the answers that run in them."""
        await self._stop(await self._sessions.delete_all(caller.id))

    async def activate(self, caller: Caller, session_id: str, message_id: str) -> Session:
        """Make the branch with this message the active one."""
        return await self._messages.activate(caller.id, session_id, message_id)

    async def search(self, caller: Caller, words: str, cursor: str | None, limit: int) -> Page[Found]:
        """A page of the caller's messages that contain all the words, newest first."""
        async with self._searches.turn(caller.id):
            return await self._messages.search(caller.id, writable(words), cursor, limit)

    async def history(
        self, caller: Caller, session_id: str, cursor: str | None, limit: int, *, whole: bool
    ) -> Page[Message]:
        """A page of the active branch, or of all messages, oldest first."""
        return await self._messages.history(caller.id, session_id, cursor, limit, whole=whole)

    async def whole(self, caller: Caller, session_id: str) -> AsyncIterator[list[Message]]:
        """The active branch, page by page, for each of which the caller's turn is waited for.

        Raises what the first page is refused with.
        """
        async with self._searches.turn(caller.id):
            first = await self._exported(caller, session_id, None)
        return self._from(caller, session_id, first)

    async def _from(self, caller: Caller, session_id: str, page: Page[Message]) -> AsyncIterator[list[Message]]:
        yield page.items
        while page.next is not None:
            async with self._searches.turn(caller.id, part=True):
                page = await self._exported(caller, session_id, page.next)
            yield page.items

    async def _exported(self, caller: Caller, session_id: str, cursor: str | None) -> Page[Message]:
        return await self._messages.history(caller.id, session_id, cursor, _EXPORT_PAGE, export=True)


def _found(thing: T | None) -> T:
    if thing is None:
        raise StreamForgeError("session_not_found")
    return thing
