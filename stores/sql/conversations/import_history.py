"""What was said before a session was opened, put into it as its client tells it."""

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
    """The beginning of the session, oldest first, each message under the one before it.

    An answer without a word has never come: in a session of ours that is one which was cut off.
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
    """Put in the rows. A client id that is taken by now stays with whom it is."""
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
