"""A conversation of 10,000 messages is read, and gone on with, at the cost of one of 40: rows are counted, not time.

Shows T13.
"""

from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import Connection, insert, text

from domain.messages import Append, Beginning, Question, new_id
from stores.sql.conversations import history
from stores.sql.conversations.begin import begin
from stores.sql.engine.database import Database
from stores.sql.tables import messages, sessions

PAGE = 10


def fill(connection: Connection, count: int) -> tuple[str, str, str]:
    """A session with so many messages: its id, its last message's, and that of one a page before the end."""
    session_id = new_id()
    ids = [new_id() for _ in range(count)]
    pairs = zip(ids, [None, *ids], [*ids[1:], None], strict=False)
    connection.execute(
        insert(sessions),
        {
            "id": session_id, "owner": "ann", "auto_title": True, "created": 1.0, "updated": 1.0, "root_id": ids[0],
            "leaf_id": ids[-1],
        },
    )  # fmt: skip
    connection.execute(
        insert(messages),
        [
            {
                "id": given, "session_id": session_id, "owner": "ann", "parent_id": parent, "active_child_id": child,
                "depth": depth, "role": ("user", "assistant")[depth % 2], "state": "complete", "text": "words",
                "tokens": 5, "created": 1.0,
            }
            for depth, (given, parent, child) in enumerate(pairs)
        ],
    )  # fmt: skip
    return session_id, ids[-1], ids[-PAGE - 2]


def visits(connection: Connection, dialect: str, work: Callable[[Connection], object]) -> int:
    """How many rows PostgreSQL reads for it, or how many steps SQLite's machine takes."""
    if dialect == "sqlite":
        driver = connection.connection.driver_connection
        assert driver is not None
        steps = []
        driver.set_progress_handler(lambda: steps.append(1), 1)
        work(connection)
        driver.set_progress_handler(None, 0)
        return len(steps)
    count = text("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'messages'")
    before = connection.scalar(count)
    work(connection)
    after = connection.scalar(count)
    assert before is not None
    assert after is not None
    return int(after - before)


@pytest.mark.parametrize("what", ["window", "first page", "last page", "all", "begin"])
async def test_what_is_read_does_not_depend_on_what_there_is(database: Database, what: str) -> None:
    def cost(connection: Connection, count: int) -> int:
        session_id, leaf, near = fill(connection, count)
        page = {"owner": "ann", "session_id": session_id, "limit": PAGE}
        asked = Beginning("ann", session_id, Question(new_id(), "why", 1), Append(), new_id(), new_id(), "m", 2.0)
        work: dict[str, Callable[[Connection], object]] = {
            "window": partial(
                history.window, owner="ann", session_id=session_id, leaf_id=leaf, max_messages=12, max_tokens=1_000
            ),
            "first page": partial(history.active, **page, after=None),  # type: ignore[arg-type]
            "last page": partial(history.active, **page, after=near),  # type: ignore[arg-type]
            "all": partial(history.whole, **page, after=None),  # type: ignore[arg-type]
            "begin": partial(begin, asked=asked),
        }
        return visits(connection, database.dialect, work[what])

    few = await database.write(partial(cost, count=40))
    if database.dialect == "postgresql":
        await database.write(partial(fill, count=10_000))
        await database.write(lambda connection: connection.execute(text("ANALYZE")))
        few = await database.write(partial(cost, count=40))
    many = await database.write(partial(cost, count=10_000))
    assert 0 < many <= few * 1.1
