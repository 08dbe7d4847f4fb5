"""What several tests of the stores need."""

from typing import get_args

from domain.messages import Append, Beginning, Begun, Ending, MessageState, Opening, ParentSpec, Question, new_id
from domain.usage import Spent, Usage
from stores.sql.conversations.messages import MessageStore


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
