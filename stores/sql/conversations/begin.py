"""Begins an answer, in one transaction.

Whether the session is free, and the idempotency key and the client id unused, is decided by unique indexes when the
rows are inserted: a check beforehand could be out of date. The session's row is updated first, which locks it.
"""

from sqlalchemy import Connection, String, bindparam, case, func, insert, select, update

from domain.callers import exceeded
from domain.errors import StreamForgeError
from domain.messages import Append, Beginning, Begun, Busy, KeyInUse, Message, Opening, Question, Session
from stores.sql.conversations import branches, import_history
from stores.sql.conversations.branches import Change
from stores.sql.conversations.full import full
from stores.sql.rows import SESSION, AnyRow, message, new_row, row_of, session
from stores.sql.tables import messages, sessions

_OPEN = insert(sessions)
_UNTITLED = sessions.c.auto_title & sessions.c.title.is_(None)
_TAKE = (
    update(sessions)
    .where(sessions.c.id == bindparam("session"), sessions.c.owner == bindparam("owner_"))
    .values(
        prior_leaf_id=sessions.c.leaf_id,
        prior_updated=sessions.c.updated,
        leaf_id=bindparam("answer"),
        updated=bindparam("now"),
        root_id=func.coalesce(sessions.c.root_id, bindparam("root")),
        title=case((_UNTITLED, bindparam("name", type_=String)), else_=sessions.c.title),
    )
    .returning(*SESSION, sessions.c.root_id, sessions.c.prior_leaf_id)
)
_APPEND = (
    update(messages)
    .where(messages.c.id == bindparam("leaf"))
    .values(active_child_id=bindparam("child"))
    .returning(messages.c.id, messages.c.depth, messages.c.summary_id)
)
_INSERT = insert(messages)

_STREAM = select(messages.c.stream_id).where(messages.c.state == "running")
_KEY = _STREAM.where(messages.c.owner == bindparam("owner"), messages.c.idempotency_key == bindparam("key"))
_HOLDER = _STREAM.where(messages.c.session_id == bindparam("session"))
_NAMED = select(sessions.c.id).where(
    sessions.c.owner == bindparam("owner"),
    sessions.c.client_id == bindparam("name"),
    sessions.c.id != bindparam("session"),
)
_CLIENT_ID = select(messages.c.id).where(
    messages.c.owner == bindparam("owner"), messages.c.client_id == bindparam("client_id")
)


def begin(connection: Connection, asked: Beginning) -> Begun:
    """Insert the question and the answer as the active branch; raises `IntegrityError` if a unique index forbids it."""
    if asked.opening is not None and (used_up := full(connection, asked.owner, asked.most_sessions)):
        explain(connection, asked)  # a request that has come before is not refused for what its first one has taken
        raise exceeded(used_up)
    if asked.opening is not None and asked.question is not None:
        opened, question = _opened(connection, asked, asked.question, asked.opening)
        return _put(connection, asked, opened, question, None)
    root = asked.question.id if isinstance(asked.parent, Append) and asked.question else None
    values = {
        "session": asked.session_id, "owner_": asked.owner, "answer": asked.answer_id, "now": asked.now, "root": root,
        "name": asked.title,
    }  # fmt: skip
    taken = connection.execute(_TAKE, values).one_or_none()
    if taken is None:
        raise StreamForgeError("session_not_found")
    changes: list[Change] | None = None
    if asked.question is None:
        question, changes = _again(connection, asked, taken)
    elif isinstance(asked.parent, Append):
        question, changes = _appended(connection, asked, asked.question, asked.parent.message_id, taken)
    else:
        question, changes = _edited(connection, asked, asked.question, taken)
    return _put(connection, asked, session(taken), question, changes)


def _opened(connection: Connection, asked: Beginning, first: Question, opening: Opening) -> tuple[Session, Message]:
    """A new session, with its first question below the messages from before it was created."""
    opened = Session(asked.session_id, asked.owner, asked.now, asked.now, asked.title, opening.name, asked.answer_id)
    before = import_history.messages_of(opened, opening.earlier)
    values = {
        "id": opened.id, "owner": asked.owner, "created": asked.now, "updated": asked.now, "title": asked.title,
        "client_id": opening.name, "prior_updated": asked.now, "auto_title": True,
        "root_id": before[0].id if before else first.id, "leaf_id": asked.answer_id,
    }  # fmt: skip
    connection.execute(_OPEN, values)
    if not before:
        return opened, _new(asked, first, None, 0, None)
    import_history.put(connection, asked.owner, before, first.id)
    return opened, _new(asked, first, before[-1].id, len(before), None)


def _put(
    connection: Connection, asked: Beginning, taken: Session, question: Message, changes: list[Change] | None
) -> Begun:
    """Insert the rows."""
    answer = Message(
        asked.answer_id, asked.session_id, question.id, question.depth + 1, "assistant", "running", "", 0, asked.now,
        summary_id=question.summary_id, stream_id=asked.stream_id, model=asked.model,
    )  # fmt: skip
    rows = [
        new_row(answer, asked.owner) | {"idempotency_key": asked.idempotency_key, "alive": asked.now, "undo": changes}
    ]
    if asked.question is not None:
        rows.insert(0, new_row(question, asked.owner) | {"active_child_id": answer.id})
    connection.execute(_INSERT, rows)
    return Begun(taken, question, answer)


def _new(asked: Beginning, question: Question, parent: str | None, depth: int, summary: str | None) -> Message:
    return Message(
        question.id, asked.session_id, parent, depth, "user", "complete", question.text, question.tokens, asked.now,
        client_id=question.client_id, summary_id=summary,
    )  # fmt: skip


def _appended(
    connection: Connection, asked: Beginning, question: Question, after: str | None, taken: AnyRow
) -> tuple[Message, list[Change] | None]:
    leaf, changes = taken.prior_leaf_id, None
    if after is not None and after != leaf:
        above = _row_of(connection, asked, after)
        changes = _branch_off(connection, taken, above, question.id)
    elif leaf is None:
        return _new(asked, question, None, 0, None), None
    else:
        above = connection.execute(_APPEND, {"leaf": leaf, "child": question.id}).one()
    return _new(asked, question, above.id, above.depth + 1, above.summary_id), changes


def _edited(
    connection: Connection, asked: Beginning, question: Question, taken: AnyRow
) -> tuple[Message, list[Change]]:
    target = _target(connection, asked)
    if target.role != "user":
        raise StreamForgeError("message_not_found", "Only the user's own messages can be edited.")
    if target.parent_id is None:
        changes: list[Change] = [(None, question.id, taken.root_id)]
        branches.apply(connection, asked.session_id, changes)
        return _new(asked, question, None, 0, None), changes
    above = _row_of(connection, asked, target.parent_id)
    changes = _branch_off(connection, taken, above, question.id)
    return _new(asked, question, above.id, above.depth + 1, above.summary_id), changes


def _again(connection: Connection, asked: Beginning, taken: AnyRow) -> tuple[Message, list[Change]]:
    target = _target(connection, asked)
    if target.role == "assistant":
        if target.parent_id is None:  # a client's conversation may start with a greeting
            raise StreamForgeError("message_not_found", "That message answers no question.")
        target = _row_of(connection, asked, target.parent_id)
    return message(target), _branch_off(connection, taken, target, asked.answer_id)


def _target(connection: Connection, asked: Beginning) -> AnyRow:
    assert not isinstance(asked.parent, Append)
    return _row_of(connection, asked, asked.parent.message_id)


def _row_of(connection: Connection, asked: Beginning, message_id: str) -> AnyRow:
    row = row_of(connection, asked.owner, asked.session_id, message_id)
    if row is None:
        raise StreamForgeError("message_not_found")
    return row


def _branch_off(connection: Connection, taken: AnyRow, above: AnyRow, child: str) -> list[Change]:
    """Make `child` the active child of a message, and that message part of the active branch."""
    changes: list[Change] = []
    if not branches.on_branch(connection, taken.prior_leaf_id, above.id, above.depth):
        changes = branches.changes_to(connection, taken.root_id, above.id)
    changes.append((above.id, child, above.active_child_id))
    branches.apply(connection, taken.id, changes)
    return changes


def explain(connection: Connection, asked: Beginning) -> None:
    """Raise the error that says why an index refused the rows, unless the reason no longer applies."""
    if asked.idempotency_key is not None:
        key = {"owner": asked.owner, "key": asked.idempotency_key}
        if stream := connection.execute(_KEY, key).scalar_one_or_none():
            raise KeyInUse(stream)
    if asked.opening is not None and asked.opening.name is not None:
        there = {"owner": asked.owner, "name": asked.opening.name, "session": asked.session_id}
        if connection.execute(_NAMED, there).first() is not None:  # created by another request at the same time
            raise StreamForgeError("session_busy")
    if stream := connection.execute(_HOLDER, {"session": asked.session_id}).scalar_one_or_none():
        raise Busy(stream)
    client_id = asked.question.client_id if asked.question else None
    if client_id is not None:
        used = connection.execute(_CLIENT_ID, {"owner": asked.owner, "client_id": client_id})
        if used.first() is not None:
            raise StreamForgeError("client_id_taken")
