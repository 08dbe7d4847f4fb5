"""Inserts the messages from before a session was created, as its client sent them."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, insert, select

from domain.messages import Earlier, Message, Session, new_id
from stores.sql.rows import new_row
from stores.sql.tables import messages

_INSERT = insert(messages)
_TAKEN = select(messages.c.client_id).where(
    messages.c.owner == bindparam("owner"), messages.c.client_id.in_(bindparam("names", expanding=True))
)


def messages_of(opened: Session, earlier: Sequence[Earlier]) -> list[Message]:
    """The session's first messages, oldest first, each the child of the one before it.

    An answer without text is stored as interrupted, like one of our own answers that was cut off.
    """
    ids = [new_id() for _ in earlier]
    return [
        Message(
            ids[depth], opened.id, ids[depth - 1] if depth else None, depth, said.role,
            "complete" if said.text or said.role == "user" else "interrupted", said.text, said.tokens, opened.created,
            client_id=said.client_id,
        )
        for depth, said in enumerate(earlier)
    ]  # fmt: skip


def put(connection: Connection, owner: str, before: Sequence[Message], first_question: str) -> None:
    """Insert the rows. A client id that is already used stays with the message that has it."""
    names = {message.client_id for message in before if message.client_id is not None}
    values = {"owner": owner, "names": sorted(names)}
    taken = set(connection.execute(_TAKEN, values).scalars()) if names else set()
    following = [*(message.id for message in before[1:]), first_question]
    rows = [
        new_row(message, owner) | {"active_child_id": child}
        | ({"client_id": None} if message.client_id in taken else {})
        for message, child in zip(before, following, strict=True)
    ]  # fmt: skip
    connection.execute(_INSERT, rows)
