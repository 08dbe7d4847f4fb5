"""The stream logs that there are, for tests that hold for all of them, and what such tests need."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from domain.events import Cancelled, Delta, Done
from domain.streams import StreamInfo, digest, new_stream_id
from domain.usage import Spent, Usage
from stores.streams.base import Binding, StreamLog
from stores.streams.memory import MemoryStreamLog
from stores.streams.shared.log import RedisStreamLog, open_redis_log
from stores.streams.tail import Tail
from tests.support.valkey import RedisServer

SPENT = Spent(Usage(1, 1, exact=False), None)
DONE = Done("stop", "simulated", SPENT)
CANCELLED = Cancelled("requested", SPENT)


def info(owner: str = "local") -> StreamInfo:
    return StreamInfo(new_stream_id(), "simulated", 1, "detach", digest("hello"), owner)


async def finish(log: StreamLog, owner: str, *, key: str | None = None, size: int = 0) -> Tail:
    """A stream of this owner that has ended, with so many characters."""
    tail = await log.open(info(owner))
    if key is not None:
        await log.keys.bind(owner, key, Binding(tail.info.id, digest("hello")))
    await log.append(tail, 2, Delta("x" * size))
    await log.seal(tail, DONE)
    await log.announce(tail, DONE)
    return tail


class Clock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Woken:
    """A follower that counts."""

    times: int = 0
    cuts: int = 0
    seen: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        self.times += 1
        self.seen.set()

    def cut(self) -> None:
        self.cuts += 1
        self.seen.set()


async def followed(log: StreamLog, stream_id: str) -> tuple[Tail, Woken]:
    """The stream as this log finds it, with a follower."""
    tail = await log.find(stream_id)
    assert tail is not None
    follower = Woken()
    tail.followers.append(follower)
    return tail, follower


@dataclass
class Told:
    """A listener that remembers."""

    sealed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def sealed_elsewhere(self, stream_id: str) -> None:
        self.sealed.append(stream_id)

    def fenced(self, stream_id: str) -> None:
        self.lost.append(stream_id)

    def left_elsewhere(self, stream_id: str) -> None:
        self.unread.append(stream_id)


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Let the loop run until the condition holds; fails after the deadline."""

    async def holds() -> object:
        return condition()

    await until_it(holds, seconds)


async def until_it(condition: Callable[[], Awaitable[object]], seconds: float = 10) -> None:
    """The same, for a condition that has to be awaited."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, f"it did not come true in {seconds} s"
        await asyncio.sleep(0.005)


RETENTION = 600.0
SHORT = 1.5
"""Seconds for which a log in Redis keeps what has finished, in tests that wait for the end of it."""


class Kind:
    """One kind of log; `log` makes one, `pass_time` lets its retention go by."""

    def __init__(self, server: RedisServer | None = None) -> None:
        self._server = server
        self._clock = Clock()

    @asynccontextmanager
    async def log(
        self, retained_bytes: int = 1_000_000, *, short: bool = False, claims: int = 100
    ) -> AsyncIterator[StreamLog]:
        if self._server is None:
            yield MemoryStreamLog(retention=RETENTION, retained_bytes=retained_bytes, clock=self._clock, claims=claims)
            return
        async with shared_log(self._server.url, retention=SHORT if short else RETENTION, size=retained_bytes) as log:
            yield log

    async def pass_time(self, *, part: float) -> None:
        """So much of the retention goes by."""
        if self._server is None:
            self._clock.now += RETENTION * part
        else:
            await asyncio.sleep(SHORT * part)


@asynccontextmanager
async def shared_log(
    url: str, *, prefix: str | None = None, lease: float = 15, retention: float = 600, size: int = 2**26
) -> AsyncIterator[RedisStreamLog]:
    """A log in Redis, under a prefix of its own unless told."""
    name = prefix or f"test-{secrets.token_hex(8)}"
    async with open_redis_log(url, prefix=name, lease=lease, retention=retention, retained_bytes=size) as log:
        yield log
