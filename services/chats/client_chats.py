"""Chats of clients that name their conversations and keep them too: those of the AI SDK and of AG-UI.

The client's id of a chat is the `client_id` of a session of its owner. An unknown id opens a session, which begins
with the client's history. Sessions of other owners with the same id play no part.
"""

import asyncio
from dataclasses import replace
from time import time

from domain.callers import Caller
from domain.errors import StreamForgeError
from domain.events import Done
from domain.messages import MAX_CLIENT_ID, Session
from domain.streams import Order, Place
from domain.text import UNWRITABLE
from services.chats.alignment import Answerable, BranchEnd, ClientTurn, align
from services.chats.import_history import distinct, imported
from services.chats.replay import replayed
from services.storage import Storage
from services.streaming_service import StreamingService
from services.streams.starting import Opened
from stores.streams.tail import Tail

REPLAY_SECONDS = 120.0
"""How long after its end an answer is replayed to a client that comes back."""

_FAR = 2_000  # messages to look back at when the client shows another branch than the active one


class ClientChats:
    """Starts, finds and stops streams by the clients' ids of their chats."""

    def __init__(self, storage: Storage, streaming: StreamingService) -> None:
        self._sessions = storage.sessions
        self._messages = storage.messages
        self._streaming = streaming

    async def start(self, caller: Caller, chat_id: str, turn: ClientTurn, order: Order) -> Opened:
        """Answer the client's turn. Of `order`, the message and the place are replaced; the rest says how to answer.

        Raises what `StreamingService.start` raises.
        """
        found = await self._find(caller, chat_id, turn)
        try:
            return await self._answered(caller, found, order) or await self._begin(caller, found, order)
        except StreamForgeError as error:
            if error.code != "session_busy" or not found.place.new:
                raise
        # Another request has opened the chat at the same moment: by now it is known.
        found = await self._find(caller, chat_id, turn)
        return await self._answered(caller, found, order) or await self._begin(caller, found, order)

    async def _answered(self, caller: Caller, found: Answerable, order: Order) -> Opened | None:
        """The stream that answers the same request already, if it runs or is complete: a retry is not paid for twice.

        A request with an idempotency key is left to the key, which says itself what is a retry.
        """
        answer = found.answer
        if answer is None or answer.stream_id is None or order.idempotency_key is not None:
            return None
        if answer.state not in ("running", "complete") or order.model not in (None, answer.model):
            return None
        tail = await self._tail(caller, answer.stream_id)
        if tail is None or not (tail.outcome is None or isinstance(tail.outcome, Done)):
            return None
        return await self._streaming.again(tail)

    async def _begin(self, caller: Caller, found: Answerable, order: Order) -> Opened:
        order = replace(order, ask=replace(order.ask, message=found.message), place=found.place)
        try:
            return await self._streaming.start(caller, order)
        except StreamForgeError as error:
            if error.code != "client_id_taken":
                raise
        # A client may number the messages of every chat from 1: then the ids are not unique, and not kept.
        return await self._streaming.start(caller, replace(order, place=replace(found.place, client_id=None)))

    async def stream(self, caller: Caller, chat_id: str) -> Tail | None:
        """The stream that answers in the chat, or that ended a short while ago; `None` if there is none.

        Its log may be gone already, with its process or to save memory: then the stored answer is replayed.
        """
        session = await self._session(caller, chat_id)
        last = await self._messages.last_answer(caller.id, session.id) if session is not None else None
        if session is None or last is None or (last.state != "running" and time() - last.touched > REPLAY_SECONDS):
            return None
        if tail := await self._tail(caller, last.stream_id):
            return tail
        answer = await self._messages.get(caller.id, session.id, last.id)
        return replayed(caller.id, answer) if answer is not None else None

    async def _tail(self, caller: Caller, stream_id: str) -> Tail | None:
        """The stream; `None` if it is gone."""
        try:
            return await self._streaming.find(caller, stream_id)
        except StreamForgeError as error:
            if error.code != "stream_not_found":
                raise
            return None

    async def stop(self, caller: Caller, chat_id: str) -> None:
        """Stop the answer that runs in the chat, if any; raises `session_not_found`."""
        session = await self._session(caller, chat_id)
        if session is None:
            raise StreamForgeError("session_not_found")
        last = await self._messages.last_answer(caller.id, session.id)
        if last is not None and last.state == "running":
            await self._streaming.stop([last.stream_id])

    async def _find(self, caller: Caller, chat_id: str, turn: ClientTurn) -> Answerable:
        _ = turn.question  # raises if there is none
        session = await self._session(caller, chat_id)
        if session is None:
            *before, last = distinct(turn.messages)
            earlier = await asyncio.to_thread(imported, before) if before else []
            place = Place(new=True, name=chat_id, client_id=last.id or None, earlier=earlier)
            return Answerable(place, last.text)
        return align(session.id, await self._branch(caller, session, turn), turn)

    async def _session(self, caller: Caller, chat_id: str) -> Session | None:
        if not 0 < len(chat_id) <= MAX_CLIENT_ID or UNWRITABLE.search(chat_id):
            return None
        return await self._sessions.named(caller.id, chat_id)

    async def _branch(self, caller: Caller, session: Session, turn: ClientTurn) -> BranchEnd:
        """As much of the active branch as the client can mean; of another branch, if the client shows that one."""
        most = 2 * len(turn.messages) + 2
        messages = await self._messages.recent(caller.id, session.leaf, most) if session.leaf is not None else []
        here = {message.id for message in messages} | {message.client_id for message in messages}
        names = {*(each.id for each in turn.messages), turn.message_id or ""} - here - {""}
        others = await self._messages.named(caller.id, session.id, names) if names else {}
        answers = [each.id for each in turn.messages if each.role == "assistant"]
        seen = others.get(answers[-1]) if answers else None
        if seen is not None:  # on another branch, or further up
            messages = await self._messages.through(caller.id, seen.id, _FAR)
            return BranchEnd(messages, others, messages[-1].id if messages else None)
        return BranchEnd(messages, others)
