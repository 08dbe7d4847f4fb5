"""Converts rows to the domain's values, and values to cursors. Columns are in the order of the dataclasses' fields."""

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    String,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    func,
    null,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from domain.errors import StreamForgeError
from domain.messages import Message, Page, Session, Summary
from stores.sql.engine.database import Database
from stores.sql.tables import messages, sessions, summaries

T = TypeVar("T")
AnyRow = Row[*tuple[Any, ...]]

SESSION = (*(sessions.c[field.name] for field in fields(Session) if field.name != "leaf"), sessions.c.leaf_id)
MESSAGE = tuple(messages.c[field.name] for field in fields(Message) if field.name != "siblings")
LEAN_MESSAGE = tuple(null().label(column.name) if column is messages.c.sources else column for column in MESSAGE)
"""`MESSAGE` without `sources`, which may be larger than everything else in the row."""
SUMMARY = tuple(summaries.c[field.name] for field in fields(Summary))

_PLACE = select(messages.c.seq, messages.c.parent_id, messages.c.id)
_CHILDREN = _PLACE.where(messages.c.parent_id.in_(bindparam("parents", expanding=True)))
_FIRST = _PLACE.where(messages.c.session_id == bindparam("session"), messages.c.parent_id.is_(None))
_GET = select(*MESSAGE, messages.c.active_child_id, messages.c.undo, messages.c.owner).where(
    messages.c.id == bindparam("message")
)

_SEQ = re.compile(r"[0-9]{1,18}", re.ASCII)
_MOMENT = re.compile(r"([0-9]{1,16}\.[0-9]{1,16})-([0-9a-f]{32})", re.ASCII)


def shown(table: FromClause) -> ColumnElement[int]:
    """The tokens that a message counts on a page: its text's, and one for every four characters of its sources."""
    return table.c.tokens + func.coalesce(func.length(cast(table.c.sources, Text)), 0) // 4


def among(column: ColumnElement[str], values: Collection[str], dialect: str) -> ColumnElement[bool]:
    """The condition that the column has one of the values. There may be more of them than a statement's parameters."""
    if dialect == "postgresql":
        return column == any_(bindparam(None, list(values), type_=postgresql.ARRAY(String)))
    return column.in_(select(func.json_each(json.dumps(list(values))).table_valued("value").c.value))


def insert_unless_there(database: Database, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that does nothing if one of the table's unique indexes forbids it."""
    insert = postgresql.insert if database.dialect == "postgresql" else sqlite.insert
    return insert(table).on_conflict_do_nothing()


def bad_cursor() -> StreamForgeError:
    """The error for a cursor that was not the `next` of any page."""
    return StreamForgeError("malformed_page")


def seq_of(cursor: str | None) -> int | None:
    """The message number in the cursor; raises `malformed_page` if it is not one."""
    if cursor is None:
        return None
    if not _SEQ.fullmatch(cursor):
        raise bad_cursor()
    return int(cursor)


def moment_of(cursor: str) -> tuple[float, str]:
    """The time and the id in a `moment_cursor`; raises `malformed_page` if it is not one."""
    found = _MOMENT.fullmatch(cursor)
    if not found:
        raise bad_cursor()
    return float(found[1]), found[2]


def moment_cursor(moment: float, id: str) -> str:
    """A cursor for a list that is ordered by a time, and then by id."""
    return f"{moment!r}-{id}"


def page(rows: Sequence[AnyRow], limit: int, item: Callable[[AnyRow], T], cursor: Callable[[AnyRow], str]) -> Page[T]:
    """A page of at most `limit` items. `rows` are the result of a query for `limit + 1` rows."""
    shown = rows[:limit]
    return Page([item(row) for row in shown], cursor(shown[-1]) if len(rows) > limit else None)


def session(row: AnyRow) -> Session:
    """A session from a row that begins with the columns `SESSION`."""
    return Session(*row[: len(SESSION)])


def message(row: AnyRow) -> Message:
    """A message from a row that begins with the columns `MESSAGE` or `LEAN_MESSAGE`."""
    return Message(*row[: len(MESSAGE)])


def new_row(new: Message, owner: str) -> dict[str, Any]:
    """The values to insert for a message that has no children yet."""
    row = {column.name: getattr(new, column.name) for column in MESSAGE}
    return row | {"owner": owner, "active_child_id": None, "idempotency_key": None, "alive": None, "undo": None}


def row_of(connection: Connection, owner: str, session_id: str, message_id: str) -> AnyRow | None:
    """A message of the owner's session, with the columns `MESSAGE`, `active_child_id`, `undo` and `owner`; or `None`.

    The query uses only the message's id: given the session too, a planner may scan that session instead.
    """
    row = connection.execute(_GET, {"message": message_id}).one_or_none()
    return row if row is not None and row.session_id == session_id and row.owner == owner else None


def with_siblings(connection: Connection, session_id: str, rows: Sequence[AnyRow]) -> list[Message]:
    """The messages of one session, each with its siblings if it has any."""
    parents = {row.parent_id for row in rows}
    found = list(connection.execute(_CHILDREN, {"parents": sorted(parents - {None})}))
    if None in parents:
        found += connection.execute(_FIRST, {"session": session_id})
    children: dict[str | None, list[str]] = {}
    for _, parent_id, child_id in sorted(found):  # not by the database, which would scan the whole session in order
        children.setdefault(parent_id, []).append(child_id)
    families = {parent: tuple(ids) if len(ids) > 1 else () for parent, ids in children.items()}
    return [replace(message(row), siblings=families.get(row.parent_id, ())) for row in rows]
