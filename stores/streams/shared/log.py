"""The stream log that several processes share, in Redis or Valkey.

Whoever opens a stream writes it, and holds a lease on it; every process can find, seal, follow and, once the lease is
gone, claim it. Truth about answers is in the database: Redis may be flushed, silent or gone, and then streams go on
where they are produced, new ones are opened there, and what other processes produce cannot be looked up.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import structlog

from domain.errors import StreamForgeError
from domain.events import Event, Terminal
from domain.streams import StreamInfo
from stores.streams.base import Appended, Claim, Fenced, Listener, Tail
from stores.streams.codec import Newer, Unreadable, decode_info, decode_outcome
from stores.streams.local import LocalStreams
from stores.streams.shared import scripts
from stores.streams.shared.commands import Commands, Spans, read_claim
from stores.streams.shared.connection import Link, Unreachable, check_url, unavailable
from stores.streams.shared.follower import Tailer
from stores.streams.shared.produced import Produced, ask_seal
from stores.streams.shared.reading import load
from stores.streams.shared.writer import PackedCommand, Writer

log = structlog.get_logger("redis")

_BEATS_A_LEASE: Final = 3
_CLAIMED_AT_ONCE: Final = 50
_PRUNED_AT_ONCE: Final = 100
_LEFT_ALONE: Final = 1000


@asynccontextmanager
async def open_redis_log(
    url: str, *, prefix: str, lease: float, retention: float, retained_bytes: int, insecure: bool = False
) -> "AsyncIterator[RedisStreamLog]":
    """A log in the Redis at `url`, closed at the end. `ValueError`, with a sentence, where that cannot be used.

    A Redis that is merely away is waited for in the background. Seconds and bytes; `insecure` allows another
    machine's Redis without a password.
    """
    check_url(url, insecure=insecure)
    link = Link(url)
    streams = RedisStreamLog(link, prefix, Spans(lease, retention, retained_bytes))
    try:
        await link.open()
        yield streams
    finally:
        await streams.close()


async def try_redis(url: str) -> None:
    """`ValueError`, with a sentence, where the Redis at `url` is there and cannot be used."""
    link = Link(url)
    try:
        await link.try_out()
    finally:
        await link.close()


class RedisStreamLog:
    """A process's part in the shared log; each object counts as a process of its own."""

    shared = True

    def __init__(self, link: Link, prefix: str, spans: Spans) -> None:
        commands = Commands(prefix, secrets.token_hex(8), spans)
        self._spans = spans
        self._link = link
        self._commands = commands
        self._loop = asyncio.get_running_loop()
        self._streams = LocalStreams(retention=spans.retention, retained_bytes=spans.retained_bytes)
        self._writer = Writer(link)
        self._tailer = Tailer(link, self._writer, commands, self._told, idle=2 * spans.lease)
        self._produced = Produced(self._streams, link, self._writer, commands, self._tailer)
        self._to_prune = True
        self._left_alone: dict[str, None] = {}  # ids of streams that this version does not understand, oldest first
        self._tasks = [
            asyncio.create_task(self._writer.run(), name="redis writer"),
            asyncio.create_task(self._beat(), name="redis leases"),
        ]

    def listen(self, listener: Listener) -> None:
        self._produced.listener = listener

    async def open(self, info: StreamInfo) -> Tail:
        return await self._produced.open(info)

    async def append(self, tail: Tail, seq: int, event: Event) -> Appended:
        return await self._produced.append(tail, seq, event)

    async def seal(self, tail: Tail, outcome: Terminal) -> Terminal:
        if tail.fenced:
            raise Fenced
        if tail.produced_here:
            return await self._produced.seal(tail, outcome)
        return await ask_seal(self._writer, self._commands, tail, outcome)

    async def announce(self, tail: Tail, outcome: Terminal) -> None:
        if not tail.produced_here:
            raise Fenced
        await self._produced.announce(tail, outcome)
        self._to_prune = True

    async def drop(self, tail: Tail) -> None:
        await self._produced.drop(tail)

    async def find(self, stream_id: str) -> Tail | None:
        known = self._known(stream_id)
        if known is not None:
            return known
        try:
            looked: list[bytes] | None = await self._writer.ask(self._commands.look(stream_id, reading=True))
        except Unreachable as error:
            raise unavailable() from error
        if looked is None:
            return None
        info, state, outcome = looked
        try:
            tail = await self._load(stream_id, info, outcome)
        except Newer as error:
            raise unavailable() from error
        except Unreadable as error:
            log.error("a stream's log cannot be read", stream_id=stream_id, error=str(error))
            return None
        if not tail.events or (state == b"ended" and not tail.ended):
            return None  # it expires at this moment
        known = self._known(stream_id)  # somebody else may have looked for it meanwhile
        if known is None:
            self._tailer.follow(tail)
        return known or tail

    async def claim_key(self, owner: str, key: str, claim: Claim) -> Claim:
        bound = self._streams.claimed(owner, key)
        if bound is not None:
            return bound
        tail = self._streams.tails.get(claim.stream_id)
        if tail is not None and tail.shared:
            with contextlib.suppress(Unreachable):
                value: bytes = await self._writer.ask(self._commands.claim_key(owner, key, claim))
                return read_claim(value) or claim
        return self._streams.claim_key(owner, key, claim)

    async def claimed(self, owner: str, key: str) -> Claim | None:
        bound = self._streams.claimed(owner, key)
        if bound is None:
            with contextlib.suppress(Unreachable):
                value: bytes | None = await self._writer.ask(self._commands.claimed(owner, key))
                return read_claim(value or b"")
        return bound

    async def release_key(self, owner: str, key: str, stream_id: str) -> None:
        self._streams.release_key(owner, key, stream_id)
        with contextlib.suppress(Unreachable):
            await self._writer.ask(self._commands.release_key(owner, key, stream_id))

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
        if not self._link.up or self._loop.time() < self._link.since + self._spans.lease:
            return []  # where Redis was away, producers have to have the time to come back
        await self._renew()  # or, after a pause, we would claim what is ours
        found: list[list[Any]] = []
        with contextlib.suppress(Unreachable):
            found = await self._writer.ask(self._commands.lost(_CLAIMED_AT_ONCE, self._left_alone))
        tails = []
        for name, epoch, info, outcome in found:
            stream_id = name.decode("ascii", "replace")
            try:
                tail = self._known(stream_id) or Tail(decode_info(info, stream_id), produced_here=False, shared=True)
                if tail.produced_here:
                    self._produced.keep(tail, int(epoch))
                    continue
                if await self._take(tail, int(epoch), outcome):
                    tails.append(tail)
            except (Unreadable, StreamForgeError) as error:
                log.error("a lost stream cannot be ended", stream_id=stream_id, error=str(error))
        return tails

    async def expire(self) -> None:
        self._streams.expire()
        if self._to_prune and self._link.up:
            self._to_prune = False
            with contextlib.suppress(Unreachable):
                gone = await self._writer.ask(self._commands.prune(_PRUNED_AT_ONCE))
                self._to_prune = gone == _PRUNED_AT_ONCE

    async def close(self) -> None:
        tasks = [*self._tasks, *self._tailer.close()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._link.close()

    def _known(self, stream_id: str) -> Tail | None:
        return self._streams.tails.get(stream_id) or self._tailer.find(stream_id)

    async def _load(self, stream_id: str, info: bytes, outcome: bytes) -> Tail:
        tail = Tail(decode_info(info, stream_id), produced_here=False, shared=True)
        tail.outcome = decode_outcome(outcome)
        await load(self._link, self._commands.log_key(stream_id), tail)
        return tail

    async def _take(self, tail: Tail, epoch: int, outcome: bytes) -> bool:
        """The stream is ours, to be ended; false if only a newer version can end it.

        A log that somebody has spoiled is taken as far as it can be read.
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
            self._leave_alone(stream_id, epoch)
            return False
        self._tailer.forget(stream_id)
        tail.epoch, tail.produced_here, tail.fenced = epoch, True, False
        self._streams.add(tail)
        return True

    def _leave_alone(self, stream_id: str, epoch: int) -> None:
        """Give the claim back, and do not claim the stream again: it would never expire."""
        log.warning("a stream of a newer version is left for one to end", stream_id=stream_id)
        self._writer.send(PackedCommand(self._commands.give_back(stream_id, epoch)))
        self._left_alone[stream_id] = None
        if len(self._left_alone) > _LEFT_ALONE:
            del self._left_alone[next(iter(self._left_alone))]

    def _told(self, what: str, stream_id: str) -> None:
        """Another process says that it did something to a stream of ours: ask what, for the message may be old."""
        tail = self._streams.tails.get(stream_id)
        if tail is None or not tail.shared or tail.ended:
            return
        if what in ("sealed", "fenced"):
            self._produced.check(tail)
        elif what == "left" and self._produced.listener is not None:
            self._produced.listener.left_elsewhere(stream_id)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._spans.lease / _BEATS_A_LEASE)
            self._to_prune = True
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

    def _looked(self, tail: Tail, looked: list[bytes] | None) -> None:
        """What has become of a stream that is followed here."""
        if tail.produced_here:
            return  # claimed meanwhile
        if looked is None:
            self._tailer.cut(tail)
        elif tail.outcome is None:
            try:
                tail.outcome = decode_outcome(looked[2])
            except Newer:  # the end will not be read here: a newer version can tell the client
                self._tailer.cut(tail)
