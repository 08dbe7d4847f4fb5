"""What several tests of the stores need."""

from typing import get_args

from domain.messages import Append, Begun, Ending, MessageState, ParentSpec, Question, new_id
from domain.usage import Spent, Usage
from stores.sql.conversations.messages import MessageStore


def ending(state: str, text: str, code: str | None = None) -> Ending:
    """What became of an answer."""
    assert state in get_args(MessageState)
    return Ending(state, text, "m", None, code, Spent(Usage(1, 2, exact=True), None), 5, 10)  # type: ignore[arg-type]


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
    return await messages.begin(
        owner,
        session_id,
        question=Question(new_id(), text, 5, client_id),
        parent=parent or Append(),
        answer_id=new_id(),
        stream_id=new_id(),
        model="m",
        idempotency_key=key,
        now=now,
    )
