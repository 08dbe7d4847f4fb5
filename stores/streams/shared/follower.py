"""Follows streams of other processes that are read here, with one blocked read for every hundred streams.

Each *reel* reads up to a hundred logs, and an inbox whose messages interrupt the read when a log is added. The first
reel's inbox is that of the process: other processes write there what they did to its streams. Reading a log continues
after the events that its tail already has, so nothing is lost between old events and new ones.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

from domain.errors import StreamForgeError
from stores.streams.codec import Unreadable
from stores.streams.shared.commands import Commands
from stores.streams.shared.connection import PAUSE, SILENCE, Link, overslept
from stores.streams.shared.reading import Entry, feed
from stores.streams.shared.writer import PackedCommand, Writer
from stores.streams.tail import Tail

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = structlog.get_logger("redis")

_KEYS: Final = 100
_BLOCK: Final = 2.0
"""Seconds for which a read blocks. If an interruption is lost, a new log is read only after that."""
_COUNT: Final = 200
_ALIVE: Final = 0.2
"""If a read fails after this many seconds, it had a connection, so the failure is a new one."""
_FED_AT_ONCE: Final = 256
_IDLE_TAILS: Final = 1000

OnMessage = Callable[[str, str], None]
"""Called with what another process did (`sealed`, `fenced` or `left`) and the id of the stream."""


async def _type_of(key: bytes, redis: "Redis") -> Any:
    return await redis.type(key)


class Tailer:
    """Keeps the tails of streams that other processes write while they have followers, and `idle` seconds longer."""

    def __init__(self, link: Link, writer: Writer, commands: Commands, *, idle: float) -> None:
        self._link = link
        self._writer = writer
        self._commands = commands
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        self._reels = [Reel(self, 0)]
        self._used: dict[str, float] = {}
        self.tails: dict[str, Tail] = {}
        self.on_message: list[OnMessage] = []
        link.on_down.append(self.cut_all)

    def follow(self, tail: Tail) -> None:
        """Keep the tail up to date from now on."""
        stream_id = tail.info.id
        self.tails[stream_id] = tail
        self._used[stream_id] = self._loop.time()
        if len(self.tails) > _IDLE_TAILS:
            self._make_room()
        if not tail.ended:
            reel = next((reel for reel in self._reels if len(reel.keys) < _KEYS), None)
            if reel is None:
                reel = Reel(self, len(self._reels))
                self._reels.append(reel)
            reel.add(self._commands.log_key(stream_id), tail)

    def find(self, stream_id: str) -> Tail | None:
        """The stream's tail if it is kept here, else `None`."""
        tail = self.tails.get(stream_id)
        if tail is not None:
            self._used[stream_id] = self._loop.time()
        return tail

    def forget(self, stream_id: str) -> None:
        """Stop keeping the stream's tail."""
        self.tails.pop(stream_id, None)
        self._used.pop(stream_id, None)
        key = self._commands.log_key(stream_id)
        for reel in self._reels:
            reel.keys.pop(key, None)

    def cut(self, tail: Tail) -> None:
        """Send the tail's followers away, because it cannot be read any further."""
        self.forget(tail.info.id)
        if not tail.ended:
            tail.cut()

    def cut_all(self) -> None:
        """Send away the followers of all unfinished streams, because Redis is away; clients will reconnect."""
        for tail in list(self.tails.values()):
            if not tail.ended:
                self.cut(tail)

    def sweep(self) -> None:
        """Forget the tails that have had no followers, and were not looked up, for `idle` seconds."""
        now = self._loop.time()
        for stream_id, tail in list(self.tails.items()):
            if tail.followers:
                self._used[stream_id] = now
            elif now - self._used[stream_id] >= self._idle:
                self.forget(stream_id)

    def close(self) -> list[asyncio.Task[None]]:
        """Cancel the reels; returns their tasks."""
        tasks = [reel.task for reel in self._reels]
        for task in tasks:
            task.cancel()
        return tasks

    # The methods below are for reels.

    async def read(self, keys: dict[bytes, bytes]) -> Any:
        """Wait for entries after these ids, and return them as pairs of a key and its entries."""
        logs: Any = keys
        deadline = self._loop.time() + _BLOCK + SILENCE
        try:
            async with asyncio.timeout_at(deadline):
                return await self._link.client.xread(logs, count=_COUNT, block=round(_BLOCK * 1000)) or []
        except TimeoutError:
            if overslept(deadline):
                return []
            raise

    async def stray(self, keys: Iterable[bytes]) -> list[bytes]:
        """Those of the keys that hold something other than a log."""
        return [key for key in keys if await self._link.ask(partial(_type_of, key)) not in (b"stream", b"none")]

    async def ready(self) -> None:
        """Wait until Redis can be read."""
        await self._link.back()

    def failed(self, error: Exception) -> None:
        """Report that Redis does not reply."""
        self._link.failed(error)

    def inbox(self, number: int) -> bytes:
        """The key of a reel's inbox."""
        return self._commands.inbox(number)

    def interrupt(self, number: int) -> None:
        """Make a reel look at its keys again."""
        self._writer.send(PackedCommand(self._commands.interrupt(number)))

    def told(self, what: bytes, stream_id: bytes) -> None:
        """Pass on a message from another process."""
        for hear in self.on_message:
            hear(what.decode("ascii", "replace"), stream_id.decode("ascii", "replace"))

    def _make_room(self) -> None:
        for stream_id in [name for name, tail in self.tails.items() if not tail.followers][:-1]:
            self.forget(stream_id)
            if len(self.tails) <= _IDLE_TAILS:
                return


class Reel:
    """Repeats one blocked read of the logs in `keys`."""

    def __init__(self, tailer: Tailer, number: int) -> None:
        self._tailer = tailer
        self._number = number
        self._inbox = tailer.inbox(number)
        self._cursor = b"0-0"
        self._blocked = False
        self._asked_at = 0.0
        self._broken_since: float | None = None
        self.keys: dict[bytes, Tail] = {}
        self.task = asyncio.create_task(self._run(), name="redis tailer")

    def add(self, key: bytes, tail: Tail) -> None:
        """Read this log, too."""
        self.keys[key] = tail
        if self._blocked:
            self._blocked = False  # one interruption is enough
            self._tailer.interrupt(self._number)

    async def _run(self) -> None:
        await self._tailer.ready()
        from redis.exceptions import RedisError, ResponseError

        while True:
            try:
                await self._tailer.ready()
                await self._turn()
            except ResponseError as error:
                await self._weed(error)
            except (RedisError, OSError) as error:
                await self._stumble(error)
            except Exception as error:  # a bug of ours, or malicious data: the other logs must still be read
                log.error("a read of streams failed unexpectedly", exc_info=error)
                await asyncio.sleep(SILENCE)

    async def _turn(self) -> None:
        asked = {self._inbox: self._cursor, **{key: b"%d-0" % len(tail.events) for key, tail in self.keys.items()}}
        self._blocked = True
        self._asked_at = asyncio.get_running_loop().time()
        try:
            found = await self._tailer.read(asked)
        finally:
            self._blocked = False
        self._broken_since = None
        fed = 0
        for key, entries in found:
            if key == self._inbox:
                self._hear(entries)
            elif tail := self.keys.get(key):
                self._feed(key, tail, entries)
            fed += len(entries)
            if fed >= _FED_AT_ONCE:
                fed = 0
                await asyncio.sleep(0)

    def _feed(self, key: bytes, tail: Tail, entries: list[Entry]) -> None:
        try:
            for entry in entries:
                feed(tail, entry)
        except Unreadable as error:
            log.error("a stream's log cannot be read any further", stream_id=tail.info.id, error=str(error))
            self._tailer.cut(tail)
        if tail.ended:
            self.keys.pop(key, None)

    def _hear(self, entries: list[Entry]) -> None:
        for entry_id, fields in entries:
            self._cursor = entry_id
            for what, stream_id in (fields or {}).items():
                self._tailer.told(what, stream_id)

    async def _stumble(self, error: Exception) -> None:
        """Let the next turn use a new connection; if that has failed for long enough, Redis is away."""
        from redis.exceptions import TimeoutError as NoConnection

        self._cursor = b"0-0"  # a new server may count from 0 again, and reading old messages twice does no harm
        now = asyncio.get_running_loop().time()
        if self._broken_since is None or now - self._asked_at > _ALIVE:
            self._broken_since = now
        if isinstance(error, TimeoutError | NoConnection) or now - self._broken_since >= SILENCE:
            self._broken_since = None
            self._tailer.failed(error)
        await asyncio.sleep(PAUSE)

    async def _weed(self, error: Exception) -> None:
        """Drop the logs whose keys hold something else, because that is one reason for Redis to refuse a read."""
        log.error("redis refused a read", error=str(error)[:200])
        with contextlib.suppress(StreamForgeError):
            for key in await self._tailer.stray(list(self.keys)):
                if tail := self.keys.get(key):
                    self._tailer.cut(tail)
        await asyncio.sleep(SILENCE)
