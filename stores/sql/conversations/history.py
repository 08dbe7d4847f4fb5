"""Reads a conversation: the messages of a branch or of the whole tree, and a model's window; switches branches."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from domain.errors import StreamForgeError
from domain.messages import Message, Page, Session, Summary, Window, is_id
from stores.sql.conversations import branches
from stores.sql.rows import (
    MESSAGE,
    SESSION,
    SUMMARY,
    bad_cursor,
    message,
    row_of,
    seq_of,
    session,
    shown,
    with_siblings,
)
from stores.sql.tables import messages, sessions, summaries

PAGE_TOKENS = 250_000
"""The most tokens on a page, sources included: about a megabyte of English. A larger message gets its own page."""

_ROOT = select(sessions.c.root_id).where(sessions.c.id == bindparam("session"), sessions.c.owner == bindparam("owner"))
_AFTER = (messages.c.session_id == bindparam("session"), messages.c.seq > bindparam("after"))
_COMING = (
    select(messages.c.seq, shown(messages).label("size"))
    .where(*_AFTER)
    .order_by(messages.c.seq)
    .limit(bindparam("most"))
)
_WHOLE = select(*MESSAGE).where(*_AFTER, messages.c.seq <= bindparam("last")).order_by(messages.c.seq)
_SWITCH = (
    update(sessions).where(sessions.c.id == bindparam("session")).values(leaf_id=bindparam("leaf")).returning(*SESSION)
)
_KEEP = insert(summaries)
_SUMMARY = select(*SUMMARY).where(summaries.c.id == bindparam("summary"))

_below = select(messages.c.id).where(messages.c.id == bindparam("message")).cte("below", recursive=True)
_child = messages.alias("child")
_below = _below.union_all(select(_child.c.id).join(_below, _child.c.parent_id == _below.c.id))
_newer = select(summaries.c.id).where(
    summaries.c.session_id == bindparam("session"), summaries.c.depth > bindparam("covered")
)
_COVER = (
    update(messages)
    .where(messages.c.id.in_(select(_below.c.id)))
    .where(or_(messages.c.summary_id.is_(None), messages.c.summary_id.not_in(_newer)))
    .values(summary_id=bindparam("summary"))
)


def get(connection: Connection, owner: str, session_id: str, message_id: str) -> Message | None:
    """The message, or `None` if there is no such message in the owner's session."""
    row = row_of(connection, owner, session_id, message_id)
    return with_siblings(connection, session_id, [row])[0] if row is not None else None


def active(connection: Connection, owner: str, session_id: str, after: str | None, limit: int) -> Page[Message]:
    """A page of the active branch. The cursor is the last message's id; the next page starts at its active child."""
    start = _root(connection, owner, session_id)
    if after is not None:
        if not is_id(after):
            raise bad_cursor()
        last = row_of(connection, owner, session_id, after)
        if last is None:
            raise bad_cursor()
        start = last.active_child_id
    rows = branches.down(connection, start, most=limit, tokens=PAGE_TOKENS)
    more = rows[-1].id if rows and rows[-1].active_child_id is not None else None
    return Page(with_siblings(connection, session_id, rows), more)


def whole(connection: Connection, owner: str, session_id: str, after: str | None, limit: int) -> Page[Message]:
    """A page of all messages of the session, in the order they were inserted. The cursor is a message's number."""
    _root(connection, owner, session_id)
    first = seq_of(after) or 0
    coming = connection.execute(_COMING, {"session": session_id, "after": first, "most": limit + 1}).all()
    shown = _fitting([row.size for row in coming[:limit]])
    if not shown:
        return Page([], None)
    last = coming[shown - 1].seq
    rows = connection.execute(_WHOLE, {"session": session_id, "after": first, "last": last}).all()
    return Page(with_siblings(connection, session_id, rows), str(last) if len(coming) > shown else None)


def _fitting(sizes: Sequence[int]) -> int:
    """How many of the messages fit on a page: at least one, however large."""
    total = 0
    for count, each in enumerate(sizes):
        total += each
        if count and total > PAGE_TOKENS:
            return count
    return len(sizes)


def _root(connection: Connection, owner: str, session_id: str) -> str | None:
    found = connection.execute(_ROOT, {"session": session_id, "owner": owner}).one_or_none()
    if found is None:
        raise StreamForgeError("session_not_found")
    root: str | None = found.root_id
    return root


def window(
    connection: Connection, owner: str, session_id: str, leaf_id: str, max_messages: int, max_tokens: int
) -> Window:
    """The last messages of a branch, and the summary of those before them, if there is one."""
    leaf = row_of(connection, owner, session_id, leaf_id)
    if leaf is None:
        raise StreamForgeError("message_not_found")
    known = connection.execute(_SUMMARY, {"summary": leaf.summary_id}).one_or_none() if leaf.summary_id else None
    summary = Summary(*known) if known is not None else None
    covered = summary.depth if summary else -1
    rows = branches.newest(connection, leaf_id, most=max_messages, tokens=max_tokens, covered=covered)
    return Window([message(row) for row in rows], summary)


def activate(connection: Connection, owner: str, session_id: str, message_id: str) -> Session:
    """Make the branch through a message the active one."""
    pointers = branches.lock(connection, owner, session_id)
    if row_of(connection, owner, session_id, message_id) is None:
        raise StreamForgeError("message_not_found")
    branches.apply(connection, session_id, branches.changes_to(connection, pointers.root_id, message_id))
    leaf = branches.leaf_below(connection, message_id)
    return session(connection.execute(_SWITCH, {"session": session_id, "leaf": leaf}).one())


def summarise(connection: Connection, owner: str, summary: Summary) -> bool:
    """Store the summary and set it on every message below its last one, except those whose summary covers more.

    Returns false if its last message no longer exists.
    """
    try:
        branches.lock(connection, owner, summary.session_id)
    except StreamForgeError:
        return False
    if row_of(connection, owner, summary.session_id, summary.message_id) is None:
        return False
    connection.execute(_KEEP, {column.name: getattr(summary, column.name) for column in SUMMARY})
    connection.execute(
        _COVER,
        {
            "message": summary.message_id,
            "session": summary.session_id,
            "covered": summary.depth,
            "summary": summary.id,
        },
    )
    return True
