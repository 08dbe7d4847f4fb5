"""The store of sessions. It never shows another owner's; deleting returns the streams that the caller must stop."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Executable, bindparam, delete, select, update

from domain.callers import exceeded
from domain.messages import Page, Session, new_id
from stores.sql.conversations.full import count, full
from stores.sql.engine.database import Database
from stores.sql.rows import SESSION, insert_unless_there, moment_cursor, moment_of, page, session
from stores.sql.tables import messages, sessions, summaries, usage

_MINE = (sessions.c.id == bindparam("session"), sessions.c.owner == bindparam("owner_"))
_GET = select(*SESSION).where(*_MINE)
_BY_CLIENT_ID = select(*SESSION).where(
    sessions.c.owner == bindparam("owner_"), sessions.c.client_id == bindparam("their_id")
)
_LIST = (
    select(*SESSION)
    .where(sessions.c.owner == bindparam("owner_"))
    .order_by(sessions.c.updated.desc(), sessions.c.id.desc())
    .limit(bindparam("most"))
)
_LIST_ON = _LIST.where(
    (sessions.c.updated < bindparam("moment"))
    | ((sessions.c.updated == bindparam("moment")) & (sessions.c.id < bindparam("session")))
)
_RENAME = update(sessions).where(*_MINE).values(title=bindparam("name"), auto_title=False).returning(*SESSION)
_TITLE = update(sessions).where(*_MINE, sessions.c.auto_title).values(title=bindparam("name"))
_EMPTY = update(sessions).where(*_MINE).values(root_id=None, leaf_id=None, prior_leaf_id=None)
_UNTITLE = update(sessions).where(*_MINE, sessions.c.auto_title).values(title=None)
_DELETE = delete(sessions).where(*_MINE)
_LOCK = select(sessions.c.id).where(*_MINE).with_for_update()
_IN_MINE = select(sessions.c.id).where(*_MINE).scalar_subquery()
_DELETE_MESSAGES = delete(messages).where(messages.c.session_id == _IN_MINE)
_DELETE_SUMMARIES = delete(summaries).where(summaries.c.session_id == _IN_MINE)

_LOCK_ALL = select(sessions.c.id).where(sessions.c.owner == bindparam("owner_")).with_for_update()
_DELETE_ALL = delete(sessions).where(sessions.c.owner == bindparam("owner_"))
_FORGET = update(usage).where(usage.c.owner == bindparam("owner_")).values(session_id=None)
_STREAMS_OF = select(messages.c.stream_id).where(messages.c.state == "running", messages.c.owner == bindparam("owner_"))
_STREAMS_IN = _STREAMS_OF.where(messages.c.session_id == bindparam("session"))


class SessionStore:
    """Stores sessions. A session's `updated` is when its newest answer was begun."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = insert_unless_there(database, sessions)

    async def create(
        self,
        owner: str,
        *,
        client_id: str | None,
        title: str | None,
        now: float,
        id: str | None = None,
        most: int | None = None,
    ) -> Session:
        """A new session; if the owner already has one with this `client_id`, that one, unchanged.

        Raises `quota_exceeded` for a new one if the owner has `most` of them.
        """
        new = Session(id or new_id(), owner, now, now, title, client_id)
        values = {
            "id": new.id, "owner": owner, "created": now, "updated": now, "title": title, "client_id": client_id,
            "auto_title": title is None,
        }  # fmt: skip

        def create(connection: Connection) -> Session:
            used_up = full(connection, owner, most)
            if used_up is None and (connection.execute(self._insert, values).rowcount > 0 or client_id is None):
                return new
            there = connection.execute(_BY_CLIENT_ID, {"owner_": owner, "their_id": client_id}).one_or_none()
            if there is None:
                assert used_up is not None
                raise exceeded(used_up)
            return session(there)

        return await self._database.write(create)

    async def count(self, owner: str) -> int:
        """How many sessions the owner has."""
        return await self._database.read(lambda connection: count(connection, owner))

    async def get(self, owner: str, session_id: str) -> Session | None:
        row = await self._database.read(
            lambda connection: connection.execute(_GET, _mine(owner, session_id)).one_or_none()
        )
        return session(row) if row is not None else None

    async def named(self, owner: str, client_id: str) -> Session | None:
        """The owner's session with this client id."""
        values = {"owner_": owner, "their_id": client_id}
        row = await self._database.read(lambda connection: connection.execute(_BY_CLIENT_ID, values).one_or_none())
        return session(row) if row is not None else None

    async def list(self, owner: str, after: str | None, limit: int) -> Page[Session]:
        """A page of the owner's sessions, most recently `updated` first."""
        values: dict[str, Any] = {"owner_": owner, "most": limit + 1}
        query = _LIST
        if after is not None:
            query = _LIST_ON
            values["moment"], values["session"] = moment_of(after)
        rows = await self._database.read(lambda connection: connection.execute(query, values).all())
        return page(rows, limit, session, lambda row: moment_cursor(row.updated, row.id))

    async def rename(self, owner: str, session_id: str, title: str) -> Session | None:
        """Set a title that automatic ones do not replace."""
        values = _mine(owner, session_id) | {"name": title}
        row = await self._database.write(lambda connection: connection.execute(_RENAME, values).one_or_none())
        return session(row) if row is not None else None

    async def title(self, owner: str, session_id: str, title: str) -> bool:
        """Set an automatic title, unless the user has set one."""
        values = _mine(owner, session_id) | {"name": title}
        return await self._database.write(lambda connection: connection.execute(_TITLE, values).rowcount > 0)

    async def delete(self, owner: str, session_id: str) -> Sequence[str] | None:
        """Delete a session with its messages; returns the ids of the streams running in it.

        Returns `None` if there is no such session. Its recorded usage is kept.
        """
        return await self._remove(_mine(owner, session_id), _DELETE)

    async def clear(self, owner: str, session_id: str) -> Sequence[str] | None:
        """Delete a session's messages and its automatic title. Returns the same as `delete`."""
        return await self._remove(_mine(owner, session_id), _DELETE_SUMMARIES, _DELETE_MESSAGES, _EMPTY, _UNTITLE)

    async def _remove(self, mine: dict[str, Any], *statements: Executable) -> Sequence[str] | None:
        def remove(connection: Connection) -> Sequence[str] | None:
            if connection.execute(_LOCK, mine).first() is None:
                return None
            streams = connection.execute(_STREAMS_IN, mine).scalars().all()
            for statement in statements:
                connection.execute(statement, mine)
            return streams

        return await self._database.write(remove)

    async def delete_all(self, owner: str) -> Sequence[str]:
        """Delete all of the owner's sessions with their messages; returns the ids of the streams running in them.

        Recorded usage is kept, but no longer names the session.
        """
        own = {"owner_": owner}

        def remove(connection: Connection) -> Sequence[str]:
            connection.execute(_LOCK_ALL, own)
            streams = connection.execute(_STREAMS_OF, own).scalars().all()
            connection.execute(_DELETE_ALL, own)
            connection.execute(_FORGET, own)
            return streams

        return await self._database.write(remove)


def _mine(owner: str, session_id: str) -> dict[str, Any]:
    return {"owner_": owner, "session": session_id}
