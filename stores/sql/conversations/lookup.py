"""Finds messages by their ids or client ids, and a session's newest answer."""

from collections.abc import Collection

from sqlalchemy import Connection, bindparam, select

from domain.messages import LastAnswer, Message, is_id
from stores.sql.conversations import branches
from stores.sql.rows import MESSAGE, message
from stores.sql.tables import messages

_MANY = 2**31 - 2  # more than any branch has, and within PostgreSQL's integers

# By id alone, checking the owner afterwards: given more conditions, a planner may scan a whole session or owner.
_BY_ID = select(*MESSAGE, messages.c.owner).where(messages.c.id.in_(bindparam("names", expanding=True)))
_BY_CLIENT_ID = select(*MESSAGE, messages.c.owner).where(
    messages.c.owner == bindparam("owner"), messages.c.client_id.in_(bindparam("names", expanding=True))
)
_LAST = (
    select(messages.c.owner, messages.c.id, messages.c.stream_id, messages.c.state, messages.c.alive)
    .where(messages.c.session_id == bindparam("session"), messages.c.role == "assistant")
    .order_by(messages.c.seq.desc())
    .limit(1)
)


def recent(connection: Connection, owner: str, leaf_id: str, most: int) -> list[Message]:
    """The last `most` messages of the branch that ends at the owner's message `leaf_id`, oldest first."""
    leaf = connection.execute(_BY_ID, {"names": [leaf_id]}).one_or_none()
    if leaf is None or leaf.owner != owner:
        return []
    return [message(row) for row in branches.newest(connection, leaf_id, most=most, tokens=_MANY, covered=-1)]


def through(connection: Connection, owner: str, message_id: str, most: int) -> list[Message]:
    """The last `most` messages of the branch through the owner's message, down to its leaf, oldest first."""
    asked = connection.execute(_BY_ID, {"names": [message_id]}).one_or_none()
    if asked is None or asked.owner != owner:
        return []
    return recent(connection, owner, branches.leaf_below(connection, message_id), most)


def named(connection: Connection, owner: str, session_id: str, names: Collection[str]) -> dict[str, Message]:
    """The session's messages with one of these ids or client ids, by that id."""
    client_ids = connection.execute(_BY_CLIENT_ID, {"owner": owner, "names": sorted(names)}).all()
    ids = connection.execute(_BY_ID, {"names": sorted(filter(is_id, names))}).all()
    found = [*((row.client_id, row) for row in client_ids), *((row.id, row) for row in ids)]  # ids take precedence
    mine = {name: row for name, row in found if row.session_id == session_id and row.owner == owner}
    return {name: message(row) for name, row in mine.items()}


def last_answer(connection: Connection, owner: str, session_id: str) -> LastAnswer | None:
    """The session's newest answer, on any branch; `None` if there is none."""
    row = connection.execute(_LAST, {"session": session_id}).one_or_none()
    if row is None or row.owner != owner:
        return None
    return LastAnswer(row.id, row.stream_id, row.state, row.alive)
