"""Withdraws an answer that was refused after all, as if it had never been begun."""

from sqlalchemy import Boolean, Connection, bindparam, case, delete, select, update

from stores.sql.conversations import branches
from stores.sql.conversations.branches import Change
from stores.sql.rows import row_of
from stores.sql.tables import messages, sessions

_SESSION = select(messages.c.session_id).where(
    messages.c.id == bindparam("message"), messages.c.owner == bindparam("owner")
)
_NEWEST = (
    select(messages.c.id).where(messages.c.session_id == bindparam("session")).order_by(messages.c.seq.desc()).limit(1)
)
_CHILD = select(messages.c.id).where(messages.c.parent_id == bindparam("parent"))
_DELETE = delete(messages).where(messages.c.id == bindparam("message"))
_DELETE_SESSION = delete(sessions).where(sessions.c.id == bindparam("session"))
_RESTORE = (
    update(sessions)
    .where(sessions.c.id == bindparam("session"))
    .values(
        leaf_id=bindparam("leaf"),
        updated=bindparam("moment"),
        title=case((sessions.c.auto_title & bindparam("empty", type_=Boolean), None), else_=sessions.c.title),
    )
)


def withdraw(connection: Connection, owner: str, answer_id: str, *, opened: bool) -> bool:
    """Undo a `begin`, including the session if it was `opened` for it; false if that is not possible.

    Only the newest message of a session can be withdrawn, and only while it has no text.
    """
    session_id = connection.execute(_SESSION, {"message": answer_id, "owner": owner}).scalar_one_or_none()
    if session_id is None:
        return False
    session = branches.lock(connection, owner, session_id)
    answer = row_of(connection, owner, session_id, answer_id)
    newest = connection.execute(_NEWEST, {"session": session_id}).scalar_one_or_none()
    if answer is None or newest != answer_id or answer.text or answer.role != "assistant":
        return False
    if opened:
        connection.execute(_DELETE_SESSION, {"session": session_id})
        return True
    question = row_of(connection, owner, session_id, answer.parent_id)
    assert question is not None
    changes: list[Change] = answer.undo or [(question.parent_id, question.id, None)]
    active = session.leaf_id == answer_id
    if not active:  # the user has since switched branches, and stays there: undo only the pointer to the deleted row
        changes = changes[-1:]
    connection.execute(_DELETE, {"message": answer_id})
    if connection.execute(_CHILD, {"parent": question.id}).first() is None:
        connection.execute(_DELETE, {"message": question.id})
    branches.undo(connection, session_id, changes)
    connection.execute(
        _RESTORE,
        {
            "session": session_id,
            "leaf": _leaf(connection, changes[0]) if active else session.leaf_id,
            "empty": changes[0] == (None, question.id, None),
            "moment": session.prior_updated if session.updated == answer.created else session.updated,
        },
    )
    return True


def _leaf(connection: Connection, topmost: Change) -> str | None:
    parent, _, before = topmost
    start = before if parent is None else parent
    return branches.leaf_below(connection, start) if start is not None else None
