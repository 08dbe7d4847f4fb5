"""Streams are found and followed: readers come and go, and a poll asks for the state."""

from structlog.contextvars import bind_contextvars

from domain.callers import Caller
from domain.errors import StreamForgeError
from domain.events import Done, Terminal
from domain.streams import ANSWER, RETRY_AFTER, Snapshot, snapshot
from services.streams.admission import Door
from services.streams.first_sign import ends
from services.streams.readers import Reader, Readers
from services.streams.supervisor import Supervisor
from stores.streams.base import StreamLog
from stores.streams.tail import Tail


class Following:
    """The streams of callers, as their readers see them."""

    def __init__(self, streams: StreamLog, supervisor: Supervisor, readers: Readers, door: Door) -> None:
        self._log = streams
        self._peers = streams.peers
        self._supervisor = supervisor
        self._readers = readers
        self._door = door

    async def find(self, caller: Caller, stream_id: str) -> Tail:
        """The caller's stream; raises `stream_not_found`, as for one that does not exist."""
        tail = await self._log.find(stream_id)
        if tail is None or tail.info.owner != caller.id or tail.info.kind != ANSWER:
            raise StreamForgeError("stream_not_found")
        bind_contextvars(stream_id=stream_id)
        return tail

    async def state(self, tail: Tail) -> Snapshot:
        """What the stream has said so far; asking counts as reading."""
        self._supervisor.touch(tail.info.id)
        if self._peers is not None:
            await self._peers.reading(tail)
        # An answer is not called complete before it is stored: that may fail.
        outcome = tail.outcome if tail.ended or not isinstance(tail.outcome, Done) else None
        return self.snapshot(tail, outcome)

    def snapshot(self, tail: Tail, outcome: Terminal | None) -> Snapshot:
        """The stream at this moment, with this outcome."""
        elsewhere = tail.shared if self._peers is not None else None
        return snapshot(tail.info, tail.events, outcome, resumable_elsewhere=elsewhere)

    def admit(self, tail: Tail) -> None:
        """Refuse one reader too many, before its first byte."""
        self._readers.admit(tail)

    def join(self, tail: Tail, reader: Reader) -> None:
        """`reader` follows the stream from now on."""
        self._readers.attach(tail, reader)

    async def leave(self, tail: Tail, reader: Reader) -> None:
        """`reader` has gone. If it was the last one, in all processes, and the stream was to end then, it ends."""
        self._readers.detach(tail, reader)
        await self._left(tail)

    async def outcome(self, tail: Tail) -> Terminal:
        """Wait for the stream's end, counting as one of its readers; a cancelled wait counts as leaving."""
        self._readers.admit(tail)
        try:
            if not await ends(tail, None) or tail.outcome is None:
                raise StreamForgeError("log_unavailable", retry_after=RETRY_AFTER)
        finally:
            await self._left(tail)
        return tail.outcome

    async def _left(self, tail: Tail) -> None:
        if tail.outcome is not None or tail.followers:
            return
        if tail.produced_here:
            await self._supervisor.unread(tail.info.id)
        elif self._peers is not None and not self._door.draining:  # a reader that is sent away comes back elsewhere
            await self._peers.left(tail)
