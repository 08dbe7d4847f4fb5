"""Messages: an answer from its beginning to its end, and the conversation as it is read.

Of the states of an answer only `running` is ever left, once; who comes first says for which.
"""

from collections.abc import Collection
from functools import partial

from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import IntegrityError

from domain.errors import StreamForgeError
from domain.messages import (
    Beginning,
    Begun,
    Ending,
    Found,
    LastAnswer,
    Message,
    Page,
    Running,
    Session,
    Summary,
    Window,
)
from domain.usage import account, room
from stores.sql.conversations import history, lookup, search
from stores.sql.conversations.begin import begin, explain
from stores.sql.conversations.withdraw import withdraw
from stores.sql.engine.database import Database
from stores.sql.tables import messages

_TRIES = 3
MAX_RUNNING = 1_000
"""Answers without a sign of life that are told at a time: the oldest."""

_WRITTEN = (
    "state", "text", "tokens", "model", "finish_reason", "code", "spent", "first_word_ms", "total_ms", "sources",
    "alive",
)  # fmt: skip
_IS_RUNNING = messages.c.state == "running"
_FINISH = (
    update(messages)
    .where(messages.c.id == bindparam("message"), _IS_RUNNING)
    .values({name: bindparam(f"new_{name}") for name in _WRITTEN})
)
_ALIVE = (
    update(messages)
    .where(messages.c.id.in_(bindparam("ids", expanding=True)), _IS_RUNNING)
    .values(alive=bindparam("moment"))
)
_RUNNING = (
    select(messages.c.owner, messages.c.session_id, messages.c.id, messages.c.stream_id)
    .where(_IS_RUNNING, messages.c.alive < bindparam("older_than"))
    .order_by(messages.c.alive)
    .limit(MAX_RUNNING)
)
_INTERRUPT = (
    update(messages)
    .where(messages.c.stream_id == bindparam("stream"), _IS_RUNNING)
    .values(state="interrupted", code="producer_lost", alive=bindparam("moment"))
)


class MessageStore:
    """Where messages are kept. What is another owner's does not exist."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, asked: Beginning) -> Begun:
        """Put a question and its running answer into the session, on its active branch.

        Raises `Busy` if an answer is running in it, `KeyInUse` if one is running for the same idempotency key, and
        `session_not_found`, `message_not_found` or `client_id_taken`.
        """
        for _ in range(_TRIES):
            try:
                return await self._database.write(partial(begin, asked=asked))
            except IntegrityError:
                await self._database.read(partial(explain, asked=asked))
        raise StreamForgeError("session_busy")  # it was each time, and each time no more when we looked

    async def withdraw(self, owner: str, answer_id: str, *, opened: bool = False) -> bool:
        """Undo a beginning, so that nothing is left of it: a new question goes, and what was active is so again.

        A session that was `opened` for it goes as a whole. Only the newest answer of a session can be withdrawn,
        while it has no words; false for others.
        """
        return await self._database.write(partial(withdraw, owner=owner, answer_id=answer_id, opened=opened))

    async def finish(self, answer_id: str, ending: Ending, now: float) -> bool:
        """Store what became of a running answer; false where it no longer runs, or is gone."""
        written = {
            "text": ending.text, "tokens": room(ending.text), "spent": account(ending.spent), "alive": now,
        }  # fmt: skip
        values = {f"new_{name}": written[name] if name in written else getattr(ending, name) for name in _WRITTEN}
        values["message"] = answer_id
        return await self._database.write(lambda connection: connection.execute(_FINISH, values).rowcount > 0)

    async def alive(self, answer_ids: Collection[str], now: float) -> None:
        """The producers of these answers run."""
        values = {"ids": sorted(answer_ids), "moment": now}
        await self._database.write(lambda connection: connection.execute(_ALIVE, values))

    async def running(self, older_than: float) -> list[Running]:
        """Answers that nobody has ended, and of whose producer there was no sign since."""
        rows = await self._database.read(
            lambda connection: connection.execute(_RUNNING, {"older_than": older_than}).all()
        )
        return [Running(*row) for row in rows]

    async def interrupt_stream(self, stream_id: str, now: float) -> bool:
        """Its producer is lost, and what it had said. False where the stream's answer no longer runs."""
        values = {"stream": stream_id, "moment": now}
        return await self._database.write(lambda connection: connection.execute(_INTERRUPT, values).rowcount > 0)

    async def get(self, owner: str, session_id: str, message_id: str) -> Message | None:
        """The message."""
        return await self._database.read(
            partial(history.get, owner=owner, session_id=session_id, message_id=message_id)
        )

    async def history(
        self, owner: str, session_id: str, after: str | None, limit: int, *, whole: bool = False
    ) -> Page[Message]:
        """The active branch, oldest first; or the `whole` tree, in the order in which the messages came."""
        read = history.whole if whole else history.active
        return await self._database.read(partial(read, owner=owner, session_id=session_id, after=after, limit=limit))

    async def window(self, owner: str, session_id: str, *, leaf_id: str, max_messages: int, max_tokens: int) -> Window:
        """The end of the branch at `leaf_id`: what no summary covers of it, and no more than these limits.

        The leaf is always there. Costs what it shows, however long the branch is.
        """
        return await self._database.read(
            partial(
                history.window,
                owner=owner,
                session_id=session_id,
                leaf_id=leaf_id,
                max_messages=max_messages,
                max_tokens=max_tokens,
            )
        )

    async def recent(self, owner: str, leaf_id: str, most: int) -> list[Message]:
        """The end of the branch at `leaf_id`: at most so many messages, oldest first, whatever summaries cover."""
        return await self._database.read(partial(lookup.recent, owner=owner, leaf_id=leaf_id, most=most))

    async def through(self, owner: str, message_id: str, most: int) -> list[Message]:
        """The end of the branch that leads through the message, as `recent`; it need not be the active one."""
        return await self._database.read(partial(lookup.through, owner=owner, message_id=message_id, most=most))

    async def named(self, owner: str, session_id: str, names: Collection[str]) -> dict[str, Message]:
        """The session's messages that these ids or client ids name, by those names."""
        return await self._database.read(partial(lookup.named, owner=owner, session_id=session_id, names=names))

    async def last_answer(self, owner: str, session_id: str) -> LastAnswer | None:
        """The session's newest answer."""
        return await self._database.read(partial(lookup.last_answer, owner=owner, session_id=session_id))

    async def activate(self, owner: str, session_id: str, message_id: str) -> Session:
        """Switch to the branch of this message, on to where that one was left."""
        return await self._database.write(
            partial(history.activate, owner=owner, session_id=session_id, message_id=message_id)
        )

    async def summarise(self, owner: str, summary: Summary) -> bool:
        """Keep a summary, for all branches that lead through the message it ends with; false where that is gone."""
        return await self._database.write(partial(history.summarise, owner=owner, summary=summary))

    async def search(self, owner: str, words: str, after: str | None, limit: int) -> Page[Found]:
        """The owner's messages that hold all these words, newest first."""
        look = search.Look(owner, words, after, limit, self._database.dialect)
        return await self._database.read(partial(search.search, look=look))
