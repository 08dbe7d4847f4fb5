"""Streams, as routes and chats ask for them: started, found, followed and stopped."""

from collections.abc import Sequence

from domain.callers import Caller
from domain.events import Terminal
from domain.streams import Order, Snapshot
from services.streams.following import Following
from services.streams.readers import Reader
from services.streams.starting import Opened, Starting
from services.streams.stopping import Stopping
from stores.streams.tail import Tail


class StreamingService:
    """One door to the rooms behind it."""

    def __init__(self, starting: Starting, following: Following, stopping: Stopping) -> None:
        self._starting = starting
        self._following = following
        self._stopping = stopping

    async def start(self, caller: Caller, order: Order) -> Opened:
        """Open a stream that answers `order`, or find the one that its idempotency key was used for.

        Raises `message_too_long`, `server_draining`, `too_many_streams`; what the model cannot do, and what the session
        does not allow; and the stream's own error, if it fails before its first word and before the headers' time is
        over.
        """
        return await self._starting.start(caller, order)

    async def again(self, tail: Tail) -> Opened:
        """The stream for a request that has come a second time: refused or answered as the first one was."""
        return await self._starting.again(tail)

    async def find(self, caller: Caller, stream_id: str) -> Tail:
        """The caller's stream; raises `stream_not_found`, as for one that does not exist."""
        return await self._following.find(caller, stream_id)

    async def state(self, caller: Caller, stream_id: str) -> Snapshot:
        """What the stream has said so far; asking counts as reading."""
        return await self._following.state(await self.find(caller, stream_id))

    async def cancel(self, caller: Caller, stream_id: str) -> Snapshot:
        """Stop the model; a stream that has already ended keeps its outcome."""
        tail = await self.find(caller, stream_id)
        await self._stopping.cancel(tail)
        return self._following.snapshot(tail, tail.outcome)

    async def stop(self, stream_ids: Sequence[str]) -> None:
        """Stop streams whose session is gone; the caller has checked whose they are."""
        await self._stopping.stop(stream_ids)

    def admit(self, tail: Tail) -> None:
        """Refuse one reader too many, before its first byte."""
        self._following.admit(tail)

    def join(self, tail: Tail, reader: Reader) -> None:
        """`reader` follows the stream from now on."""
        self._following.join(tail, reader)

    async def leave(self, tail: Tail, reader: Reader) -> None:
        """`reader` has gone. If it was the last one, in all processes, and the stream was to end then, it ends."""
        await self._following.leave(tail, reader)

    async def outcome(self, tail: Tail) -> Terminal:
        """Wait for the stream's end, counting as one of its readers."""
        return await self._following.outcome(tail)
