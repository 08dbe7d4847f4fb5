"""The streams that this process writes into Redis, and how they go on if Redis fails.

Once Redis has acknowledged an event, followers here get it from memory. If Redis has lost a stream's log or does not
reply, the stream turns *local*: it goes on from memory with the same numbers, and nothing is uploaded later. Its
remnants in Redis are deleted as soon as possible, so that no process takes it for lost.
"""

import asyncio
from functools import partial
from typing import Any, Final

import structlog

from domain.errors import StreamForgeError
from domain.events import SAID, Event, Terminal
from domain.streams import StreamInfo, size_of, started
from stores.streams.base import Appended, Fenced, Listener
from stores.streams.codec import decode_outcome
from stores.streams.local import LocalStreams
from stores.streams.shared import scripts
from stores.streams.shared.commands import Commands
from stores.streams.shared.connection import Link, Unreachable, unavailable
from stores.streams.shared.follower import Tailer
from stores.streams.shared.writer import PackedCommand, Writer
from stores.streams.tail import Tail

log = structlog.get_logger("redis")

_FIRST_EPOCH: Final = 1


class PackedAppend:
    """One event on its way to Redis. It is shown once it is acknowledged, even if its writer no longer waits."""

    __slots__ = ("_event", "_produced", "_seq", "_tail", "answer", "packed")

    def __init__(self, produced: "Produced", tail: Tail, seq: int, event: Event, packed: bytes) -> None:
        self._produced = produced
        self._tail = tail
        self._seq = seq
        self._event = event
        self.packed = packed
        self.answer: asyncio.Future[Appended | ValueError] = produced.loop.create_future()

    def settle(self, reply: Any) -> None:
        self._give(self._produced.acknowledged(self._tail, self._seq, self._event, reply))

    def fail(self, error: Exception) -> None:
        self._give(self._produced.unanswered(self._tail, self._seq, self._event))

    def _give(self, answer: Appended | ValueError) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)


class Produced:
    """Writes and ends the streams of this process, and renews their leases."""

    def __init__(self, streams: LocalStreams, link: Link, writer: Writer, commands: Commands, tailer: Tailer) -> None:
        self._streams = streams
        self._link = link
        self._writer = writer
        self._commands = commands
        self._tailer = tailer
        self._heads: dict[str, bytes] = {}
        self._remnants: dict[str, int] = {}  # the epochs of streams that turned local and may be in Redis, by id
        self.loop = asyncio.get_running_loop()
        self.listener: Listener | None = None
        link.on_up.append(self.tidy)

    async def open(self, info: StreamInfo) -> Tail:
        """Open a new stream, shared if possible."""
        tail = Tail(info, shared=self._link.up, epoch=_FIRST_EPOCH)
        tail.events.append(started(info))
        if not tail.shared:
            self._streams.add(tail)
            return tail
        try:
            code = await self._writer.ask(self._commands.open(info))
        except Unreachable:
            self.turn_local(tail)
        except asyncio.CancelledError:
            self._writer.send(PackedCommand(self._commands.discard(info.id, _FIRST_EPOCH)))
            raise
        else:
            if code == scripts.FENCED:  # its id is taken, or another process has already claimed it
                raise unavailable()
        self._streams.add(tail)
        return tail

    async def append(self, tail: Tail, seq: int, event: Event) -> Appended:
        """Write one event."""
        if not tail.produced_here:
            return Appended.FENCED
        if not tail.shared:
            return self._streams.append(tail, seq, event)
        stream_id = tail.info.id
        head = self._heads.get(stream_id)
        if head is None:
            head = self._heads[stream_id] = self._commands.append_head(stream_id, tail.epoch)
        size = tail.size
        if isinstance(event, SAID):
            size += size_of(event)
        call = PackedAppend(self, tail, seq, event, head + self._commands.append_rest(seq, size, event))
        self._writer.send(call)
        answer = await call.answer
        if isinstance(answer, ValueError):
            raise answer
        return answer

    def acknowledged(self, tail: Tail, seq: int, event: Event, code: Any) -> Appended | ValueError:
        """Handle Redis' reply to an append."""
        if code == scripts.GAP and tail.shared:
            return ValueError(f"event {seq} would leave a gap after {len(tail.events)}")
        if code == scripts.CLOSED and tail.shared:
            return Appended.CLOSED
        if code == scripts.FENCED:
            self.fence(tail)
            return Appended.FENCED
        if code == scripts.MISSING:
            self.turn_local(tail, left=False)
        # A duplicate that was not shown yet is our own retry, whose first reply was lost.
        return self._show(tail, seq, event)

    def unanswered(self, tail: Tail, seq: int, event: Event) -> Appended | ValueError:
        """Handle an append without a reply: the stream goes on from memory."""
        if not tail.produced_here:
            return Appended.FENCED
        self.turn_local(tail)
        return self._show(tail, seq, event)

    async def seal(self, tail: Tail, outcome: Terminal) -> Terminal:
        """Fix the outcome; returns the first one, or raises `Fenced`."""
        if tail.shared:
            packed = self._commands.seal(tail.info.id, tail.epoch, outcome)
            try:
                standing: Terminal | None = await self._writer.ask(packed, partial(self._sealed, tail, outcome))
            except Unreachable:
                self.turn_local(tail)
            else:
                if standing is None:
                    raise Fenced
                return standing
        return self._streams.seal(tail, outcome)

    async def announce(self, tail: Tail, outcome: Terminal) -> None:
        """Append the outcome once; raises `Fenced`."""
        if tail.shared and not tail.ended:
            packed = self._commands.announce(tail.info, tail.epoch, outcome)
            try:
                if await self._writer.ask(packed, partial(self._announced, tail, outcome)) == scripts.FENCED:
                    raise Fenced
            except Unreachable:
                self.turn_local(tail)
        if not tail.shared:
            self._streams.announce(tail, outcome)

    async def drop(self, tail: Tail) -> None:
        """Delete the stream here and in Redis."""
        self._streams.remove(tail.info.id)
        self._heads.pop(tail.info.id, None)
        if tail.shared:
            self._remnants[tail.info.id] = tail.epoch
            self.tidy()

    def turn_local(self, tail: Tail, *, left: bool = True) -> None:
        """Go on without Redis. `left` says that Redis may still hold something of the stream."""
        if not tail.shared:
            return
        tail.shared = False
        self._heads.pop(tail.info.id, None)
        log.warning("a stream can only be read here from now on", stream_id=tail.info.id)
        if left:
            self._remnants[tail.info.id] = tail.epoch

    def fence(self, tail: Tail) -> None:
        """Stop producing the stream, because another process has claimed it; from now on it is only followed."""
        if not tail.produced_here or tail.ended:
            return
        self._streams.remove(tail.info.id)
        self._heads.pop(tail.info.id, None)
        tail.produced_here = False
        tail.fenced = True
        log.warning("a stream was claimed by another process", stream_id=tail.info.id)
        if tail.shared:
            self._tailer.follow(tail)
        else:  # it went on alone, and has events that are not in the shared log
            tail.cut()
        if self.listener is not None:
            self.listener.fenced(tail.info.id)

    def keep(self, tail: Tail, epoch: int) -> None:
        """Note the new epoch of a stream of our own that we have claimed ourselves, which fences no one."""
        tail.epoch = epoch
        self._heads.pop(tail.info.id, None)
        if not tail.shared:
            self._remnants[tail.info.id] = epoch

    def refresh(self) -> PackedCommand | None:
        """Renew the lease of every stream; returns the last command, whose reply comes last."""
        self.tidy()
        last = None
        for tail in list(self._streams.tails.values()):
            if tail.shared and not tail.ended:
                last = self.check(tail)
        return last

    def check(self, tail: Tail) -> PackedCommand:
        """Renew the lease of one stream, and find out whether others have sealed or claimed it."""
        packed = self._commands.refresh(tail.info.id, tail.epoch, reading=bool(tail.followers))
        question = PackedCommand(packed, partial(self._checked, tail))
        self._writer.send(question)
        return question

    def tidy(self) -> None:
        """Delete from Redis the remnants of streams that turned local."""
        if self._link.up:
            for stream_id, epoch in self._remnants.items():
                packed = self._commands.discard(stream_id, epoch)
                self._writer.send(PackedCommand(packed, partial(self._discarded, stream_id)))

    def _show(self, tail: Tail, seq: int, event: Event) -> Appended | ValueError:
        try:
            return self._streams.append(tail, seq, event)
        except ValueError as error:
            return error

    def _sealed(self, tail: Tail, outcome: Terminal, reply: list[Any]) -> Terminal | None:
        if reply[0] == scripts.FENCED:
            self.fence(tail)
            return None
        if reply[0] == scripts.MISSING:
            self.turn_local(tail, left=False)
            return self._streams.seal(tail, outcome)
        return self._streams.seal(tail, decode_outcome(reply[1]) or outcome)

    def _announced(self, tail: Tail, outcome: Terminal, reply: list[Any]) -> int:
        code: int = reply[0]
        if code == scripts.FENCED:
            self.fence(tail)
        elif code == scripts.MISSING:
            self.turn_local(tail, left=False)
        elif code in (scripts.OK, scripts.DUPLICATE):
            standing = decode_outcome(reply[1]) if code == scripts.DUPLICATE else outcome
            self._heads.pop(tail.info.id, None)
            self._streams.seal(tail, standing or outcome)
            self._streams.announce(tail, standing or outcome)
        return code

    def _checked(self, tail: Tail, code: int) -> None:
        if code == scripts.FENCED:
            self.fence(tail)
        elif code == scripts.MISSING:
            self.turn_local(tail, left=False)
        elif code == scripts.CLOSED and tail.outcome is None and self.listener is not None:
            self.listener.sealed_elsewhere(tail.info.id)

    def _discarded(self, stream_id: str, code: int) -> None:
        self._remnants.pop(stream_id, None)
        tail = self._streams.tails.get(stream_id)
        if code == scripts.FENCED and tail is not None:
            self.fence(tail)


async def ask_seal(writer: Writer, commands: Commands, tail: Tail, outcome: Terminal) -> Terminal:
    """Seal a stream that another process writes; returns the first outcome."""

    def sealed(reply: list[Any]) -> Terminal | None:
        if reply[0] == scripts.MISSING:
            return None
        if tail.outcome is None:
            tail.outcome = decode_outcome(reply[1])
        return tail.outcome

    if tail.ended and tail.outcome is not None:
        return tail.outcome
    try:
        standing: Terminal | None = await writer.ask(commands.seal(tail.info.id, None, outcome), sealed)
    except Unreachable as error:
        raise unavailable() from error
    if standing is None:
        raise StreamForgeError("stream_not_found")
    return standing
