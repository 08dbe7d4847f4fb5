"""Chats of clients that keep the conversation themselves and name it: of the AI SDK, and of AG-UI.

The client's name for a chat is the `client_id` of a session of its owner. A name that is not known opens one, which
begins with what the client has of it; what others call so makes no difference.
"""

import asyncio
from dataclasses import replace
from time import time

from domain.callers import Caller
from domain.errors import StreamForgeError
from domain.events import UNWRITABLE, Done
from domain.messages import MAX_CLIENT_ID, Session
from domain.streams import Order, Place
from services.chats.alignment import Answerable, Branch, Wanted, align
from services.chats.import_history import adopted, distinct
from services.chats.replay import retold
from services.storage import Storage, Stores
from services.streaming_service import StreamingService
from services.streams.starting import Opened
from stores.streams.base import Tail

REPLAY_SECONDS = 120.0
"""For so long after its end an answer is told to a client that comes back for it."""

_FAR = 2_000  # messages to look back at, where the client is somewhere else than where the session was left


class ClientChats:
    """Starts, finds and stops streams by the names that clients have for their chats."""

    def __init__(self, storage: Storage, streaming: StreamingService) -> None:
        self._storage = storage
        self._streaming = streaming

    async def start(self, caller: Caller, chat_id: str, wanted: Wanted, order: Order) -> Opened:
        """Answer what the client wants in its chat. `order` says how; its message and place come from what is kept.

        Refused as by `StreamingService.start`.
        """
        found = await self._find(caller, chat_id, wanted)
        try:
            return await self._heard(caller, found, order) or await self._begin(caller, found, order)
        except StreamForgeError as error:
            if error.code != "session_busy" or not found.place.new:
                raise
        # Another request has opened the chat in this moment: then it is known by now.
        found = await self._find(caller, chat_id, wanted)
        return await self._heard(caller, found, order) or await self._begin(caller, found, order)

    async def _heard(self, caller: Caller, found: Answerable, order: Order) -> Opened | None:
        """What the same request is answered with already, if that goes on or has come to its end: nobody pays twice.

        Who has an idempotency key says with that which requests are the same.
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
        # A client may number the messages of each of its chats from 1: then they have no names here.
        return await self._streaming.start(caller, replace(order, place=replace(found.place, client_id=None)))

    async def stream(self, caller: Caller, chat_id: str) -> Tail | None:
        """The stream that answers in the chat, or ended a short while ago; nothing where there is none.

        Logs go sooner, with the process or for want of room: then it is told from what was stored.
        """
        stores = await self._storage.open()
        session = await _session(stores, caller, chat_id)
        last = await stores.messages.last_answer(caller.id, session.id) if session is not None else None
        if session is None or last is None or (last.state != "running" and time() - last.touched > REPLAY_SECONDS):
            return None
        if tail := await self._tail(caller, last.stream_id):
            return tail
        answer = await stores.messages.get(caller.id, session.id, last.id)
        return retold(caller.id, answer) if answer is not None else None

    async def _tail(self, caller: Caller, stream_id: str) -> Tail | None:
        """The stream, unless it is gone."""
        try:
            return await self._streaming.find(caller, stream_id)
        except StreamForgeError as error:
            if error.code != "stream_not_found":
                raise
            return None

    async def stop(self, caller: Caller, chat_id: str) -> None:
        """Stop what answers in the chat, if something does; `session_not_found`."""
        stores = await self._storage.open()
        session = await _session(stores, caller, chat_id)
        if session is None:
            raise StreamForgeError("session_not_found")
        last = await stores.messages.last_answer(caller.id, session.id)
        if last is not None and last.state == "running":
            await self._streaming.stop([last.stream_id])

    async def _find(self, caller: Caller, chat_id: str, wanted: Wanted) -> Answerable:
        _ = wanted.question  # there must be one
        stores = await self._storage.open()
        session = await _session(stores, caller, chat_id)
        if session is None:
            *before, last = distinct(wanted.lines)
            earlier = await asyncio.to_thread(adopted, before) if before else []
            place = Place(new=True, name=chat_id, client_id=last.id or None, earlier=earlier)
            return Answerable(place, last.text)
        return align(session.id, await _branch(stores, caller, session, wanted), wanted)


async def _session(stores: Stores, caller: Caller, chat_id: str) -> Session | None:
    if not 0 < len(chat_id) <= MAX_CLIENT_ID or UNWRITABLE.search(chat_id):
        return None
    return await stores.sessions.named(caller.id, chat_id)


async def _branch(stores: Stores, caller: Caller, session: Session, wanted: Wanted) -> Branch:
    """As much of the active branch as the client can mean; the one that it has in view, where that is another."""
    most = 2 * len(wanted.lines) + 2
    messages = await stores.messages.recent(caller.id, session.leaf, most) if session.leaf is not None else []
    here = {message.id for message in messages} | {message.client_id for message in messages}
    names = {*(line.id for line in wanted.lines), wanted.message_id or ""} - here - {""}
    others = await stores.messages.named(caller.id, session.id, names) if names else {}
    answers = [line.id for line in wanted.lines if line.role == "assistant"]
    seen = others.get(answers[-1]) if answers else None
    if seen is not None:  # on another branch, or further up
        messages = await stores.messages.through(caller.id, seen.id, _FAR)
        return Branch(messages, others, messages[-1].id if messages else None)
    return Branch(messages, others)
