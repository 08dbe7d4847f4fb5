"""What several tests of the stores need."""

from collections.abc import Callable
from typing import TypeVar, get_args

from sqlalchemy import Connection

from domain.messages import Append, Beginning, Begun, Ending, MessageState, Opening, ParentSpec, Question, new_id
from domain.usage import Spent, Usage
from stores.sql.conversations.messages import MessageStore
from stores.sql.engine.database import Database
from stores.sql.engine.timeouts import CutShort

T = TypeVar("T")


class Hurried:
    """A database in which time is always over before a scan is done that has a limit."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.dialect = database.dialect
        self.read = database.read
        self.write = database.write
        self.close = database.close

    async def scan(self, work: Callable[[Connection], T], seconds: float | None = None, *, spent: float = 0) -> T:
        if seconds is not None:
            raise CutShort
        return await self._database.scan(work, spent=spent)


def ending(state: str, text: str, code: str | None = None) -> Ending:
    """What became of an answer."""
    assert state in get_args(MessageState)
    return Ending(state, text, "m", None, code, Spent(Usage(1, 2, exact=True), None), 5, 10)  # type: ignore[arg-type]


def beginning(
    owner: str,
    session_id: str,
    question: Question | None,
    *,
    parent: ParentSpec | None = None,
    key: str | None = None,
    now: float = 1.0,
    title: str | None = None,
    opening: Opening | None = None,
) -> Beginning:
    """A new answer of the model `m`, by default to a question at the end."""
    return Beginning(owner, session_id, question, parent or Append(), new_id(), new_id(), "m", now, key, title, opening)


async def ask(
    messages: MessageStore,
    owner: str,
    session_id: str,
    text: str = "asked",
    *,
    parent: ParentSpec | None = None,
    key: str | None = None,
    client_id: str | None = None,
    now: float = 1.0,
) -> Begun:
    """A question, and its answer begun."""
    question = Question(new_id(), text, 5, client_id)
    return await messages.begin(beginning(owner, session_id, question, parent=parent, key=key, now=now))
