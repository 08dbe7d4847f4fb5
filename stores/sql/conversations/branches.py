"""The tree of a session's messages, walked by recursive queries that touch no more rows than they return.

A *change* is `(parent, child, before)`: the parent's active child (or, if the parent is `None`, the session's active
first message) was `before` and became `child`. The changes that a new branch made are stored with its answer, topmost
first, so that they can be undone.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, bindparam, literal, select, update

from domain.errors import StreamForgeError
from stores.sql.rows import LEAN_MESSAGE, MESSAGE, AnyRow, shown
from stores.sql.tables import messages, sessions

Change = tuple[str | None, str | None, str | None]

_LOCK = (
    select(sessions.c.root_id, sessions.c.leaf_id, sessions.c.updated, sessions.c.prior_updated)
    .where(sessions.c.id == bindparam("session"), sessions.c.owner == bindparam("owner"))
    .with_for_update()
)

_above = messages.alias("above")
_START = select(messages.c.id, messages.c.parent_id, messages.c.depth).where(messages.c.id == bindparam("start"))


def _up(*conditions: Any) -> Any:
    """A query for the path from the message `start` up to the first one, or as far as the conditions hold."""
    way = _START.cte("way", recursive=True)
    step = select(_above.c.id, _above.c.parent_id, _above.c.depth).join(way, _above.c.id == way.c.parent_id)
    return way.union_all(step.where(*(condition(way) for condition in conditions)))


_to_depth = _up(lambda way: way.c.depth > bindparam("depth"))
_AT_DEPTH = select(_to_depth.c.id).where(_to_depth.c.depth == bindparam("depth"))

_whole = _up()
_parent = messages.alias("parent")
_ASIDE = (
    select(_whole.c.parent_id, _whole.c.id, _parent.c.active_child_id)
    .outerjoin(_parent, _parent.c.id == _whole.c.parent_id)
    .where(_whole.c.parent_id.is_(None) | _parent.c.active_child_id.is_distinct_from(_whole.c.id))
    .order_by(_whole.c.depth)
)

_first = (
    select(messages.c.id, messages.c.active_child_id, literal(1).label("place"), shown(messages).label("total"))
    .where(messages.c.id == bindparam("start"))
    .cte("down", recursive=True)
)
_down = _first.union_all(
    select(_above.c.id, _above.c.active_child_id, _first.c.place + 1, _first.c.total + shown(_above))
    .join(_first, _above.c.id == _first.c.active_child_id)
    .where(_first.c.place < bindparam("most"), _first.c.total + shown(_above) <= bindparam("tokens"))
)
_DOWN = select(*MESSAGE, messages.c.active_child_id).join(_down, _down.c.id == messages.c.id).order_by(_down.c.place)

_below = (
    select(messages.c.id, messages.c.active_child_id)
    .where(messages.c.id == bindparam("start"))
    .cte("below", recursive=True)
)
_below = _below.union_all(
    select(_above.c.id, _above.c.active_child_id).join(_below, _above.c.id == _below.c.active_child_id)
)
_LEAF = select(_below.c.id).where(_below.c.active_child_id.is_(None))

_newest = (
    select(messages.c.id, messages.c.parent_id, literal(1).label("place"), messages.c.tokens.label("total"))
    .where(messages.c.id == bindparam("start"))
    .cte("newest", recursive=True)
)
_newest = _newest.union_all(
    select(_above.c.id, _above.c.parent_id, _newest.c.place + 1, _newest.c.total + _above.c.tokens)
    .join(_newest, _above.c.id == _newest.c.parent_id)
    .where(_newest.c.place < bindparam("most"), _newest.c.total + _above.c.tokens <= bindparam("tokens"))
    .where(_above.c.depth > bindparam("covered"))
)
_NEWEST = select(*LEAN_MESSAGE).join(_newest, _newest.c.id == messages.c.id).order_by(_newest.c.place.desc())
_POINT = update(messages).where(messages.c.id == bindparam("parent")).values(active_child_id=bindparam("to"))
_POINT_IF = _POINT.where(messages.c.active_child_id == bindparam("child"))
_ROOT = update(sessions).where(sessions.c.id == bindparam("session")).values(root_id=bindparam("to"))
_ROOT_IF = _ROOT.where(sessions.c.root_id == bindparam("child"))


def lock(connection: Connection, owner: str, session_id: str) -> AnyRow:
    """The session's pointers, locked until the transaction ends; raises `session_not_found`."""
    row = connection.execute(_LOCK, {"session": session_id, "owner": owner}).one_or_none()
    if row is None:
        raise StreamForgeError("session_not_found")
    return row


def on_branch(connection: Connection, leaf_id: str | None, message_id: str, depth: int) -> bool:
    """Whether the message, at that depth, is on the branch that ends at the leaf. Walks the path between the two."""
    found = connection.execute(_AT_DEPTH, {"start": leaf_id, "depth": depth}).scalar_one_or_none()
    return found == message_id


def changes_to(connection: Connection, root_id: str | None, message_id: str) -> list[Change]:
    """The changes that put a message on the active branch, topmost first."""
    aside = connection.execute(_ASIDE, {"start": message_id}).all()
    changes: list[Change] = [(parent, child, before) for parent, child, before in aside if parent is not None]
    root = aside[0].id  # the topmost has no parent
    return changes if root == root_id else [(None, root, root_id), *changes]


def apply(connection: Connection, session_id: str, changes: Iterable[Change]) -> None:
    """Point each parent, or the session, to its new active child."""
    for parent, child, _ in changes:
        if parent is None:
            connection.execute(_ROOT, {"session": session_id, "to": child})
        else:
            connection.execute(_POINT, {"parent": parent, "to": child})


def undo(connection: Connection, session_id: str, changes: Iterable[Change]) -> None:
    """Reverse the changes, except for pointers that have changed again since."""
    for parent, child, before in changes:
        values = {"child": child, "to": before}
        if parent is None:
            connection.execute(_ROOT_IF, {"session": session_id, **values})
        else:
            connection.execute(_POINT_IF, {"parent": parent, **values})


def leaf_below(connection: Connection, message_id: str) -> str:
    """The last message of the branch that follows the active children below the message."""
    leaf: str = connection.execute(_LEAF, {"start": message_id}).scalar_one()
    return leaf


def down(connection: Connection, message_id: str | None, *, most: int, tokens: int) -> list[AnyRow]:
    """The message and those that follow it on its active branch: rows of `MESSAGE` and `active_child_id`.

    At most `most` rows, and at most `tokens` tokens as `shown` counts them; the message itself is always included.
    """
    return list(connection.execute(_DOWN, {"start": message_id, "most": most, "tokens": tokens}).all())


def newest(connection: Connection, leaf_id: str, *, most: int, tokens: int, covered: int) -> list[AnyRow]:
    """The last messages of a branch that are deeper than `covered`, oldest first: rows of `LEAN_MESSAGE`.

    The leaf is always included.
    """
    values = {"start": leaf_id, "most": most, "tokens": tokens, "covered": covered}
    return list(connection.execute(_NEWEST, values).all())
