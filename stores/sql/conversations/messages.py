"""The store of messages: begins and ends answers, and reads and searches conversations.

An answer leaves the state `running` once; the first call that ends it decides its final state.
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
"""The most answers that `running` returns; those that were silent for longest come first."""

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
    """Stores messages. No method sees other owners' messages."""

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
        raise StreamForgeError("session_busy")  # each time it was busy, and free again when `explain` looked

    async def withdraw(self, owner: str, answer_id: str, *, opened: bool = False) -> bool:
        """Undo a `begin` completely: a new question is deleted, and the branch that was active before is active again.

        A session that was `opened` for it is deleted. Only the newest answer of a session can be withdrawn, and only
        while it has no text; returns false for others.
        """
        return await self._database.write(partial(withdraw, owner=owner, answer_id=answer_id, opened=opened))

    async def finish(self, answer_id: str, ending: Ending, now: float) -> bool:
        """Store how a running answer ended; false if it is no longer running or was deleted."""
        written = {
            "text": ending.text, "tokens": room(ending.text), "spent": account(ending.spent), "alive": now,
        }  # fmt: skip
        values = {f"new_{name}": written[name] if name in written else getattr(ending, name) for name in _WRITTEN}
        values["message"] = answer_id
        return await self._database.write(lambda connection: connection.execute(_FINISH, values).rowcount > 0)

    async def alive(self, answer_ids: Collection[str], now: float) -> None:
        """Record that the producers of these answers were alive at `now`."""
        values = {"ids": sorted(answer_ids), "moment": now}
        await self._database.write(lambda connection: connection.execute(_ALIVE, values))

    async def running(self, older_than: float) -> list[Running]:
        """Answers stored as running whose producer was last known to be alive before `older_than`."""
        rows = await self._database.read(
            lambda connection: connection.execute(_RUNNING, {"older_than": older_than}).all()
        )
        return [Running(*row) for row in rows]

    async def interrupt_stream(self, stream_id: str, now: float) -> bool:
        """Mark the answer of a stream whose producer was lost as interrupted, without text; false if it is not
        running any more."""
        values = {"stream": stream_id, "moment": now}
        return await self._database.write(lambda connection: connection.execute(_INTERRUPT, values).rowcount > 0)

    async def get(self, owner: str, session_id: str, message_id: str) -> Message | None:
        return await self._database.read(
            partial(history.get, owner=owner, session_id=session_id, message_id=message_id)
        )

    async def history(
        self,
        owner: str,
        session_id: str,
        after: str | None,
        limit: int,
        *,
        whole: bool = False,
        export: bool = False,
    ) -> Page[Message]:
        """A page of the active branch, oldest first, or of the `whole` tree, in the order of insertion.

        For an `export` all pages are read, one after the other, and so apart from what others wait for.
        """
        read = history.whole if whole else history.active
        work = partial(read, owner=owner, session_id=session_id, after=after, limit=limit)
        return await (self._database.scan(work) if export else self._database.read(work))

    async def window(self, owner: str, session_id: str, *, leaf_id: str, max_messages: int, max_tokens: int) -> Window:
        """The last messages of the branch at `leaf_id` within these limits, without those that a summary covers.

        The leaf is always included. The cost depends on what is returned, not on the length of the branch.
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
        """The last `most` messages of the branch at `leaf_id`, oldest first, including those that a summary covers."""
        return await self._database.read(partial(lookup.recent, owner=owner, leaf_id=leaf_id, most=most))

    async def through(self, owner: str, message_id: str, most: int) -> list[Message]:
        """Like `recent`, for the branch through the message down to its leaf, which need not be the active branch."""
        return await self._database.read(partial(lookup.through, owner=owner, message_id=message_id, most=most))

    async def named(self, owner: str, session_id: str, names: Collection[str]) -> dict[str, Message]:
        """The session's messages with one of these ids or client ids, by that id."""
        return await self._database.read(partial(lookup.named, owner=owner, session_id=session_id, names=names))

    async def last_answer(self, owner: str, session_id: str) -> LastAnswer | None:
        return await self._database.read(partial(lookup.last_answer, owner=owner, session_id=session_id))

    async def activate(self, owner: str, session_id: str, message_id: str) -> Session:
        """Switch to the branch through this message, down to the leaf that was last active there."""
        return await self._database.write(
            partial(history.activate, owner=owner, session_id=session_id, message_id=message_id)
        )

    async def summarise(self, owner: str, summary: Summary) -> bool:
        """Store a summary for all branches through the message it ends with; false if that message no longer exists."""
        return await self._database.write(partial(history.summarise, owner=owner, summary=summary))

    async def search(self, owner: str, words: str, after: str | None, limit: int) -> Page[Found]:
        """A page of the owner's messages that contain all these words, newest first; incomplete if it took too long."""
        return await search.search(self._database, search.MessageSearch(owner, words, after, limit))
