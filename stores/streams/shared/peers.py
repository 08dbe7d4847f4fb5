"""The other processes that share the log: renews this process's leases, hears from others, and claims lost streams."""

import asyncio
import contextlib
from functools import partial
from typing import Any, Final

import structlog

from domain.errors import StreamForgeError
from stores.streams.base import Listener
from stores.streams.codec import Newer, Unreadable, decode_info, decode_outcome
from stores.streams.local import LocalStreams
from stores.streams.shared import scripts
from stores.streams.shared.commands import Commands
from stores.streams.shared.connection import Link, Unreachable, unavailable
from stores.streams.shared.follower import Tailer
from stores.streams.shared.produced import Produced
from stores.streams.shared.reading import load
from stores.streams.shared.writer import PackedCommand, Writer
from stores.streams.tail import Tail

log = structlog.get_logger("redis")

_CLAIMED_AT_ONCE: Final = 50
_LEFT_ALONE: Final = 1000


class RedisPeers:
    """The other processes, as seen through Redis. A lease lasts `lease` seconds, and is renewed every `every`."""

    def __init__(
        self,
        streams: LocalStreams,
        link: Link,
        writer: Writer,
        commands: Commands,
        tailer: Tailer,
        produced: Produced,
        *,
        lease: float,
        every: float,
    ) -> None:
        self._streams = streams
        self._link = link
        self._writer = writer
        self._commands = commands
        self._tailer = tailer
        self._produced = produced
        self._lease = lease
        self._every = every
        self._loop = asyncio.get_running_loop()
        self._left_alone: dict[str, None] = {}  # ids of streams that this version does not understand, oldest first
        tailer.on_message.append(self._told)

    def listen(self, listener: Listener) -> None:
        self._produced.listener = listener

    async def read_elsewhere(self, stream_id: str) -> bool:
        with contextlib.suppress(Unreachable):
            return bool(await self._writer.ask(self._commands.readers(stream_id)))
        return False

    async def left(self, tail: Tail) -> None:
        with contextlib.suppress(Unreachable):
            await self._writer.ask(self._commands.left(tail.info.id))

    async def reading(self, tail: Tail) -> None:
        if not tail.produced_here and not tail.ended:
            with contextlib.suppress(Unreachable):
                await self._writer.ask(self._commands.look(tail.info.id, reading=True))

    async def claim(self, tail: Tail, *, force: bool = False) -> bool:
        if tail.produced_here or tail.ended or not tail.understood:
            return False
        try:
            reply: list[Any] = await self._writer.ask(self._commands.claim(tail.info.id, force=force))
        except Unreachable as error:
            raise unavailable() from error
        if reply[0] != scripts.OK:
            return False
        return await self._take(tail, int(reply[1]), reply[2])

    async def lost(self) -> list[Tail]:
        if not self._link.up or self._loop.time() < self._link.since + self._lease:
            return []  # Redis was away, and producers need time to come back
        await self._renew()  # otherwise, after a pause, we would claim our own streams
        found: list[list[Any]] = []
        with contextlib.suppress(Unreachable):
            found = await self._writer.ask(self._commands.lost(_CLAIMED_AT_ONCE, self._left_alone))
        tails = []
        for name, epoch, info, outcome in found:
            stream_id = name.decode("ascii", "replace")
            try:
                tail = self._streams.tails.get(stream_id) or self._tailer.find(stream_id)
                tail = tail or Tail(decode_info(info, stream_id), produced_here=False, shared=True)
                if tail.produced_here:
                    self._produced.keep(tail, int(epoch))
                    continue
                if await self._take(tail, int(epoch), outcome):
                    tails.append(tail)
            except Unreadable as error:  # nothing is known of it, not even whose it is
                log.error("a lost stream cannot be ended", stream_id=stream_id, error=str(error))
                self._leave_alone(stream_id, int(epoch))
            except StreamForgeError as error:  # Redis went away: it is lost again when the lease has ended
                log.error("a lost stream cannot be ended", stream_id=stream_id, error=str(error))
        return tails

    async def hold_on(self) -> None:
        """Renew leases, and check the streams that are followed here, for ever."""
        while True:
            await asyncio.sleep(self._every)
            self._tailer.sweep()
            await self._renew()
            for tail in list(self._tailer.tails.values()):
                if not tail.ended:
                    packed = self._commands.look(tail.info.id, reading=bool(tail.followers))
                    self._writer.send(PackedCommand(packed, partial(self._looked, tail)))

    async def _renew(self) -> None:
        last = self._produced.refresh()
        if last is not None:
            with contextlib.suppress(Unreachable):
                await last.answer()

    async def _take(self, tail: Tail, epoch: int, outcome: bytes) -> bool:
        """Make a claimed stream ours, to be ended; false if only a newer version can end it.

        A damaged log is used as far as it can be read.
        """
        stream_id, newer = tail.info.id, False
        try:
            tail.outcome = decode_outcome(outcome)
            await load(self._link, self._commands.log_key(stream_id), tail)
        except Newer:
            newer = True
        except Unreadable as error:
            log.error("a claimed stream's log cannot be read", stream_id=stream_id, error=str(error))
        if newer or not tail.understood:
            log.warning("a stream of a newer version is left for one to end", stream_id=stream_id)
            self._leave_alone(stream_id, epoch)
            return False
        self._tailer.forget(stream_id)
        tail.epoch, tail.produced_here, tail.fenced = epoch, True, False
        self._streams.add(tail)
        return True

    def _leave_alone(self, stream_id: str, epoch: int) -> None:
        """Give the claim back and do not claim the stream again: each claim would put off the time when it expires."""
        self._writer.send(PackedCommand(self._commands.give_back(stream_id, epoch)))
        self._left_alone[stream_id] = None
        if len(self._left_alone) > _LEFT_ALONE:
            del self._left_alone[next(iter(self._left_alone))]

    def _told(self, what: str, stream_id: str) -> None:
        """Another process reports that it did something to a stream of ours. Check it, because messages may be old."""
        tail = self._streams.tails.get(stream_id)
        if tail is None or not tail.shared or tail.ended:
            return
        if what in ("sealed", "fenced"):
            self._produced.check(tail)
        elif what == "left" and self._produced.listener is not None:
            self._produced.listener.left_elsewhere(stream_id)

    def _looked(self, tail: Tail, looked: list[bytes] | None) -> None:
        """Take over the new state of a stream that is followed here."""
        if tail.produced_here:
            return  # claimed meanwhile
        if looked is None:
            self._tailer.cut(tail)
        elif tail.outcome is None:
            try:
                tail.outcome = decode_outcome(looked[2])
            except Newer:  # this version cannot read the end, but a newer one can send it to the client
                self._tailer.cut(tail)
