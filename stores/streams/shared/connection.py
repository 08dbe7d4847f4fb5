"""The way to Redis: its address, what must be true of the server, and whether it answers.

One breaker for the whole process: after a failure nothing is asked until a probe, one a second, has been answered.
So a Redis that is silent costs one wait of `SILENCE` and not one for every call.
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from importlib import import_module
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import structlog

from domain.errors import StreamForgeError
from stores.streams.shared.scripts import ALL, packed

if TYPE_CHECKING:
    from redis.asyncio import Connection, Redis

log = structlog.get_logger("redis")

SILENCE: Final = 1.0
"""Seconds without an answer after which Redis is taken to be away."""

PAUSE: Final = 0.05
"""Seconds before a broken connection is made anew."""

_PROBE_EVERY = 1.0
_RETRY_AFTER = 2
_LOADERS = 8
_PATIENCE = 5.0  # seconds that a question waits for those before it
_OLDEST = (7, 0)


class Unreachable(Exception):  # noqa: N818 - what has happened
    """Redis has not answered, or not with what was asked for."""


def check_url(url: str, *, insecure: bool = False) -> None:
    """A `ValueError` with a sentence for an address that cannot be used, or that should not be."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("REDIS_URL must begin with redis://, rediss:// or unix://")
    if not insecure and parts.scheme != "unix" and not parts.password and not _loopback(parts.hostname or "localhost"):
        raise ValueError(
            "REDIS_URL names another machine and has no password: whoever reaches that Redis could read every answer. "
            "Write redis://:password@host, or say that the network is closed to others."
        )


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Link:
    """Connections to one Redis, and the breaker. `on_down` and `on_up` are called when it goes and comes."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._probe: asyncio.Task[None] | None = None
        self._back = asyncio.Event()
        self._client: Any = None  # made when its package is there
        self._turn = asyncio.Semaphore(_LOADERS)
        self.up = False
        self.since = 0.0
        """When it last came up, in the loop's seconds."""
        self.on_down: list[Callable[[], None]] = []
        self.on_up: list[Callable[[], None]] = []

    async def open(self) -> None:
        """Look for the server. One that cannot serve is a `ValueError` with a sentence, one that is away is awaited."""
        await self._prepare()
        try:
            await self._check()
        except OSError as error:
            self.failed(error)
        else:
            self._restored()

    async def try_out(self) -> None:
        """The same look, and no more."""
        await self._prepare()
        with contextlib.suppress(OSError):
            await self._check()

    async def _prepare(self) -> None:
        await asyncio.to_thread(import_module, "redis.asyncio")
        from redis.asyncio import ConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        # No time-outs of the client's own: each would be one more task for every command.
        options: dict[str, Any] = {
            "protocol": 2,
            "socket_timeout": None,
            "socket_connect_timeout": SILENCE,
            "retry": Retry(NoBackoff(), 0),
            "driver_info": None,  # to tell its version to the server, the client reads files in the loop
        }
        pool = ConnectionPool.from_url(self._url, max_connections=1000, **options)
        self._client = Redis.from_pool(pool)

    def connection(self) -> "Connection":
        """A connection of the caller's own, which is not connected yet."""
        made: Connection = self._client.connection_pool.make_connection()
        return made

    @property
    def client(self) -> "Redis":
        """A client that waits for ever; the caller has a deadline."""
        client: Redis = self._client
        return client

    async def ask(self, question: "Callable[[Redis], Awaitable[Any]]") -> Any:
        """The answer to something short, a few at a time; every failure of Redis is `log_unavailable`."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._turn.acquire()
        except TimeoutError as error:
            raise unavailable() from error
        try:
            return await self._ask(question)
        finally:
            self._turn.release()

    async def _ask(self, question: "Callable[[Redis], Awaitable[Any]]") -> Any:
        from redis.exceptions import RedisError, ResponseError

        loop = asyncio.get_running_loop()
        deadline = loop.time() + SILENCE
        while self.up:
            try:
                async with asyncio.timeout_at(deadline):
                    return await question(self._client)
            except ResponseError as error:
                log.error("redis refused what it was asked", error=_name(error))
                raise unavailable() from error
            except (RedisError, OSError) as error:
                if loop.time() >= deadline - PAUSE:
                    if not overslept(deadline):
                        self.failed(error)
                    raise unavailable() from error
            await asyncio.sleep(PAUSE)  # the connection was broken: ask on another
        raise unavailable()

    def failed(self, error: BaseException) -> None:
        """Redis has not answered somebody: leave it alone until it answers a probe."""
        if self._probe is not None:
            return
        self.up = False
        self._back.clear()
        log.warning("redis is away", error=_name(error))
        self._probe = asyncio.create_task(self._knock(), name="redis probe")
        for tell in self.on_down:
            tell()

    async def back(self) -> None:
        """Returns when Redis answers."""
        await self._back.wait()

    async def load_scripts(self, connection: "Connection") -> None:
        """Make the server know our scripts; it forgets them when it restarts."""
        await connection.send_packed_command([packed(b"SCRIPT", b"LOAD", script.lua.encode()) for script in ALL])
        for _ in ALL:
            await connection.read_response()

    async def close(self) -> None:
        """Let go of everything."""
        if self._probe is not None:
            self._probe.cancel()
        if self._client is not None:
            await self._client.aclose()
            await self._client.connection_pool.aclose()

    def _restored(self) -> None:
        self._probe = None
        self.up = True
        self.since = asyncio.get_running_loop().time()
        self._back.set()
        for tell in self.on_up:
            tell()

    async def _knock(self) -> None:
        wrong = ""
        while True:
            await asyncio.sleep(_PROBE_EVERY)
            try:
                await self._check()
            except OSError:
                continue
            except ValueError as error:
                if wrong != str(error):
                    wrong = str(error)
                    log.error("redis is there again, but cannot be used", error=wrong)
                continue
            log.info("redis is back")
            self._restored()
            return

    async def _check(self) -> None:
        """`OSError` where there is no answer, `ValueError` for an answer that we cannot live with."""
        from redis.exceptions import AuthenticationError, BusyLoadingError, NoPermissionError, RedisError, ResponseError

        connection = self.connection()
        try:
            async with asyncio.timeout(SILENCE):
                await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_command("INFO")
                self._judge(await connection.read_response())
                await self.load_scripts(connection)
        except (AuthenticationError, NoPermissionError) as error:
            raise ValueError(
                "Redis refuses the user or the password of REDIS_URL, or what we must do there."
            ) from error
        except BusyLoadingError as error:
            raise OSError("it is starting") from error
        except ResponseError as error:
            raise ValueError(f"Redis cannot be used: {error}.") from error
        except RedisError as error:
            raise OSError(_name(error)) from error
        finally:
            await connection.disconnect(nowait=True)

    def _judge(self, info: bytes) -> None:
        said = dict(re.findall(r"(?m)^(\w+):(.*?)\r?$", info.decode("utf-8", "replace")))
        version = tuple(int(part) for part in re.findall(r"\d+", said.get("redis_version", ""))[:2])
        if version < _OLDEST:
            shown = said.get("redis_version", "unknown")[:20]
            raise ValueError(f"Redis {shown} is too old: StreamForge needs Redis 7.0 or newer, or Valkey.")
        if said.get("redis_mode") == "cluster":
            raise ValueError("REDIS_URL names a Redis Cluster, which StreamForge cannot use; name a single server.")
        if said.get("maxmemory_policy", "noeviction") != "noeviction":
            log.warning(
                "redis may evict what it holds: streams would be cut. Set maxmemory-policy to noeviction.",
                policy=said["maxmemory_policy"],
            )


def unavailable() -> StreamForgeError:
    """What to answer while Redis is away."""
    return StreamForgeError("log_unavailable", retry_after=_RETRY_AFTER)


def overslept(deadline: float) -> bool:
    """Whether a deadline was missed because this process was stopped for a while, which says nothing of Redis.

    It matters: after such a pause our streams may be claimed, and to take Redis for gone would be to go on with them.
    """
    return asyncio.get_running_loop().time() > deadline + SILENCE


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200]
