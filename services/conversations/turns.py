"""Places a stream's answer in a session before the model is asked, and stores it at the end.

Seal, save, announce: `save` comes between the log's two steps. It may be repeated, and only the first one counts.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import time
from weakref import WeakKeyDictionary

import structlog

from domain.catalogue import ModelEntry
from domain.citations import sources
from domain.errors import StreamForgeError
from domain.events import Cancelled, Done, Failed, Terminal
from domain.messages import (
    Append,
    Beginning,
    Edit,
    Ending,
    Message,
    Opening,
    ParentSpec,
    Question,
    Regenerate,
    new_id,
    state_after,
)
from domain.streams import Ask, Place, StreamInfo, said
from domain.usage import room
from services.conversations import memory
from services.conversations.scribe import Exchange, Scribe, first_words
from services.storage import Storage
from stores.streams.tail import Tail

log = structlog.get_logger("sessions")

_SAVE_SECONDS = 10.0
_PAUSES = (0.05, 0.1, 0.2, 0.5)  # seconds between attempts to save; the last one again and again


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question, the tokens left for the messages before it, and whether it is the session's first one."""

    question: Message
    tokens: int
    first: bool


class Conversations:
    """Places streams in sessions, and stores what they said."""

    def __init__(
        self,
        storage: Storage,
        scribe: Scribe,
        *,
        memory_tokens: int,
        most_sessions: int | None = None,
        save_seconds: float = _SAVE_SECONDS,
    ) -> None:
        self._storage = storage
        self._messages = storage.messages
        self._scribe = scribe
        self._memory_tokens = memory_tokens
        self._most_sessions = most_sessions
        self._save_seconds = save_seconds
        # For the scribe, once the answer is complete. Weak keys, because not every stream that ends is saved here.
        self._asked: WeakKeyDictionary[StreamInfo, _Asked] = WeakKeyDictionary()

    async def begin(self, info: StreamInfo, place: Place, ask: Ask, candidates: Sequence[ModelEntry]) -> Ask:
        """Take the stream's place in its session; returns what to ask the model, with the earlier messages.

        Raises `session_not_found`, `message_not_found`, `client_id_taken` or `quota_exceeded`; `Busy` if another stream
        answers in the session, and `KeyInUse` if an answer is running for the same idempotency key.
        """
        new = None if place.regenerate else Question(new_id(), ask.message, room(ask.message), place.client_id)
        try:
            question = (await self._messages.begin(_beginning(info, place, new, self._most_sessions))).question
        except StreamForgeError as error:
            if error.code == "storage_unavailable":  # perhaps only the reply was lost, and the place is taken
                await self.withdraw(info, opened=place.new)
            raise
        try:
            asked = replace(ask, message=question.text)
            return await self._recall(info, question, asked, candidates, first=place.new)
        except BaseException:
            await self.withdraw(info, opened=place.new)
            raise

    def remembers(self, place: Place, ask: Ask, candidates: Sequence[ModelEntry]) -> int:
        """The most tokens of earlier messages that the model may be shown."""
        if (place.new and not place.earlier) or all(entry.simulated for entry in candidates):
            return 0
        return memory.budget(candidates, ask.parameters, ask.message, self._memory_tokens, reserve=ask.reserve)

    async def _recall(
        self, info: StreamInfo, question: Message, ask: Ask, candidates: Sequence[ModelEntry], *, first: bool
    ) -> Ask:
        """What to ask the model, with the messages before the question."""
        session_id, _ = _in_session(info)
        if all(entry.simulated for entry in candidates):  # which remembers nothing
            return ask
        tokens = memory.budget(candidates, ask.parameters, ask.message, self._memory_tokens, reserve=ask.reserve)
        self._asked[info] = _Asked(question, tokens, first or question.parent_id is None)
        if question.parent_id is None:
            return ask
        window = await self._messages.window(
            info.owner, session_id, leaf_id=question.parent_id, max_messages=memory.MAX_MESSAGES, max_tokens=tokens
        )
        before, message = memory.recall(window, tokens, ask.message)
        return replace(ask, before=before, message=message)

    async def withdraw(self, info: StreamInfo, *, opened: bool) -> None:
        """Remove every trace of a stream that was refused; the session too, if it was `opened` for the stream.

        A failure is only logged: the client gets the error that the stream was refused with.
        """
        if info.message_id is None or not self._storage.opened:  # a database that was never open has stored nothing
            return
        session_id, answer_id = _in_session(info)
        try:
            if await self._messages.get(info.owner, session_id, answer_id) is None:  # a read waits for no lock
                return
            await self._messages.withdraw(info.owner, answer_id, opened=opened)
        except Exception as error:
            log.warning("a refused answer could not be withdrawn", stream_id=info.id, exc_info=error)

    async def save(self, tail: Tail, sealed: Terminal, first_word_ms: int | None, total_ms: int | None) -> Terminal:
        """Store the answer; returns the outcome to announce: `not_saved` if storing fails for ten seconds."""
        info = tail.info
        _, answer_id = _in_session(info)
        ending = _ending(tail, sealed, first_word_ms, total_ms)
        deadline = asyncio.get_running_loop().time() + self._save_seconds
        pauses = iter(_PAUSES)
        stored = False  # already, by an earlier call or by another process
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    stored = stored or not await self._messages.finish(answer_id, ending, time())
                    if stored:
                        sealed = await self._standing(info, sealed)
                break
            except Exception as error:  # any error, even a bug: readers are waiting for an end
                pause = next(pauses, _PAUSES[-1])
                if asyncio.get_running_loop().time() + pause >= deadline:
                    log.error("an answer could not be stored", stream_id=info.id, exc_info=error)
                    return Failed("not_saved", sealed.spent)
                await asyncio.sleep(pause)
        asked = self._asked.pop(info, None)
        if asked is not None and isinstance(sealed, Done):
            self._scribe.consider(Exchange(info, asked.question, answer_id, asked.tokens, asked.first))
        return sealed

    async def _standing(self, info: StreamInfo, sealed: Terminal) -> Terminal:
        """The outcome to announce for an answer that was stored before: usually the same one, saved twice.

        But while this process could not reach the log, another one may have given the stream up: what it stored stands.
        """
        session_id, answer_id = _in_session(info)
        stored = await self._messages.get(info.owner, session_id, answer_id)
        lost = stored is not None and stored.code == "producer_lost"
        return Failed("producer_lost", sealed.spent) if lost else sealed


def _ending(tail: Tail, sealed: Terminal, first_word_ms: int | None, total_ms: int | None) -> Ending:
    return Ending(
        state=state_after(sealed),
        text=said(tail.events),
        model=sealed.model if isinstance(sealed, Done) else tail.info.model,
        finish_reason=sealed.finish_reason if isinstance(sealed, Done) else None,
        code=sealed.code if isinstance(sealed, Failed) else sealed.reason if isinstance(sealed, Cancelled) else None,
        spent=sealed.spent,
        first_word_ms=first_word_ms,
        total_ms=total_ms,
        sources=sources(tail.events),
    )


def _beginning(info: StreamInfo, place: Place, question: Question | None, most_sessions: int | None) -> Beginning:
    session_id, answer_id = _in_session(info)
    return Beginning(
        owner=info.owner,
        session_id=session_id,
        question=question,
        parent=_parent(place),
        answer_id=answer_id,
        stream_id=info.id,
        model=info.model,
        now=time(),
        idempotency_key=info.idempotency_key,
        title=_title(place, question),
        opening=Opening(place.name, place.earlier) if place.new else None,
        most_sessions=most_sessions,
    )


def _title(place: Place, question: Question | None) -> str | None:
    """The first words of the user's first message."""
    said = (earlier.text for earlier in place.earlier if earlier.role == "user" and earlier.text.strip())
    return first_words(next(said, question.text)) if question else None


def _in_session(info: StreamInfo) -> tuple[str, str]:
    """The ids of the session, and of the message that the answer becomes."""
    assert info.session_id is not None
    assert info.message_id is not None
    return info.session_id, info.message_id


def _parent(place: Place) -> ParentSpec:
    if place.edit is not None:
        return Edit(place.edit)
    if place.regenerate is not None:
        return Regenerate(place.regenerate)
    return Append(place.after)
