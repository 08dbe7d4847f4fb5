"""The stream log that several processes share, in Redis or Valkey.

The process that opens a stream writes it and holds a lease on it. Every process can find, seal and follow it, and can
claim it once the lease is gone. The database, not the log, has the truth about answers. If Redis is flushed, silent or
gone, streams go on where they are produced and new ones are opened in memory, but streams of other processes cannot be
found.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from domain.events import Event, Terminal
from domain.streams import StreamInfo
from stores.streams.base import Appended, Fenced
from stores.streams.codec import Newer, Unreadable, decode_info, decode_outcome
from stores.streams.local import LocalStreams
from stores.streams.shared.commands import Commands, Spans
from stores.streams.shared.connection import Link, Unreachable, check_url, unavailable
from stores.streams.shared.follower import Tailer
from stores.streams.shared.keys import RedisKeyBook
from stores.streams.shared.peers import RedisPeers
from stores.streams.shared.produced import Produced, ask_seal
from stores.streams.shared.reading import load
from stores.streams.shared.writer import Writer
from stores.streams.tail import Tail

log = structlog.get_logger("redis")

_BEATS_A_LEASE: Final = 3
_PRUNED_AT_ONCE: Final = 100


@asynccontextmanager
async def open_redis_log(
    url: str, *, prefix: str, lease: float, retention: float, retained_bytes: int, insecure: bool = False
) -> "AsyncIterator[RedisStreamLog]":
    """A log in the Redis at `url`, closed on leaving. Raises a `ValueError` with a sentence if Redis cannot be used.

    If Redis is only away, it is probed in the background. `lease` and `retention` are in seconds; `insecure` allows a
    Redis without a password on another machine.
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
    """Raise a `ValueError` with a sentence if the Redis at `url` replies, but cannot be used."""
    link = Link(url)
    try:
        await link.try_out()
    finally:
        await link.close()


class RedisStreamLog:
    """A process's part of the shared log. Each object counts as a process of its own."""

    def __init__(self, link: Link, prefix: str, spans: Spans) -> None:
        commands = Commands(prefix, secrets.token_hex(8), spans)
        streams = LocalStreams(retention=spans.retention, retained_bytes=spans.retained_bytes)
        every = spans.lease / _BEATS_A_LEASE
        self._link = link
        self._commands = commands
        self._streams = streams
        self._loop = asyncio.get_running_loop()
        self._writer = Writer(link)
        self._tailer = Tailer(link, self._writer, commands, idle=2 * spans.lease)
        self._produced = Produced(streams, link, self._writer, commands, self._tailer)
        self._prune_every = every
        self._prune_at = 0.0
        self.keys = RedisKeyBook(streams, self._writer, commands)
        self.peers = RedisPeers(
            streams, link, self._writer, commands, self._tailer, self._produced, lease=spans.lease, every=every
        )
        self._tasks = [
            asyncio.create_task(self._writer.run(), name="redis writer"),
            asyncio.create_task(self.peers.hold_on(), name="redis leases"),
        ]

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
        self._prune_at = 0.0

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
            return None  # it is expiring at this moment
        known = self._known(stream_id)  # another call may have loaded it meanwhile
        if known is None:
            self._tailer.follow(tail)
        return known or tail

    async def expire(self) -> None:
        self._streams.expire()
        if self._loop.time() >= self._prune_at and self._link.up:
            self._prune_at = self._loop.time() + self._prune_every
            with contextlib.suppress(Unreachable):
                if await self._writer.ask(self._commands.prune(_PRUNED_AT_ONCE)) == _PRUNED_AT_ONCE:
                    self._prune_at = 0.0  # there are more

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
