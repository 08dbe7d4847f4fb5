"""Connections to Redis: checks its address and its version, and keeps a circuit breaker.

There is one breaker for the whole process: after a failure nothing is sent until a probe, one a second, gets a reply.
So a silent Redis costs one wait of `SILENCE`, not one for every call.
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
"""Seconds without a reply after which Redis counts as away."""

PAUSE: Final = 0.05
"""Seconds to wait before replacing a broken connection."""

_PROBE_EVERY = 1.0
_RETRY_AFTER = 2
_LOADERS = 8
_PATIENCE = 5.0  # seconds that a question may wait for its turn
_OLDEST = (7, 0)


class Unreachable(Exception):  # noqa: N818 - the name says what happened
    """Redis has not replied, or not with a valid reply."""


def check_url(url: str, *, insecure: bool = False) -> None:
    """Raise a `ValueError` with a sentence for an address that cannot be used, or that is not safe to use."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("REDIS_URL must begin with redis://, rediss:// or unix://")
    if not insecure and parts.scheme != "unix" and not parts.password and not _loopback(parts.hostname or "localhost"):
        raise ValueError(
            "REDIS_URL names another machine and has no password: anyone who can reach that Redis could read every "
            "answer. Write redis://:password@host, or set ALLOW_OPEN_REDIS to true if its network is closed to others."
        )


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Link:
    """Connections to one Redis, and the breaker. Calls `on_down` when Redis goes away, `on_up` when it comes back."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._probe: asyncio.Task[None] | None = None
        self._back = asyncio.Event()
        self._client: Any = None  # made once its package is imported
        self._turn = asyncio.Semaphore(_LOADERS)
        self.up = False
        self.since = 0.0
        """When Redis last came back, in the loop's seconds."""
        self.on_down: list[Callable[[], None]] = []
        self.on_up: list[Callable[[], None]] = []

    async def open(self) -> None:
        """Connect. Raises a `ValueError` with a sentence if the server cannot be used; probes it if it is away."""
        await self._prepare()
        try:
            await self._check()
        except OSError as error:
            self.failed(error)
        else:
            self._restored()

    async def try_out(self) -> None:
        """Raise the same `ValueError` if the server cannot be used; ignore it if it is away."""
        await self._prepare()
        with contextlib.suppress(OSError):
            await self._check()

    async def _prepare(self) -> None:
        await asyncio.to_thread(import_module, "redis.asyncio")
        from redis.asyncio import ConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        # The client gets no time-outs: each would create one more task for every command.
        options: dict[str, Any] = {
            "protocol": 2,
            "socket_timeout": None,
            "socket_connect_timeout": SILENCE,
            "retry": Retry(NoBackoff(), 0),
            "driver_info": None,  # otherwise the client reads files on the event loop to report its version
        }
        pool = ConnectionPool.from_url(self._url, max_connections=1000, **options)
        self._client = Redis.from_pool(pool)

    def connection(self) -> "Connection":
        """A new connection for the caller alone, not connected yet."""
        made: Connection = self._client.connection_pool.make_connection()
        return made

    @property
    def client(self) -> "Redis":
        """A client without time-outs: the caller must set a deadline."""
        client: Redis = self._client
        return client

    async def ask(self, question: "Callable[[Redis], Awaitable[Any]]") -> Any:
        """The reply to a short question; only a few are asked at a time. Any failure raises `log_unavailable`."""
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
                log.error("redis refused a question", error=_name(error))
                raise unavailable() from error
            except (RedisError, OSError) as error:
                if loop.time() >= deadline - PAUSE:
                    if not overslept(deadline):
                        self.failed(error)
                    raise unavailable() from error
            await asyncio.sleep(PAUSE)  # the connection was broken: ask again on another
        raise unavailable()

    def failed(self, error: BaseException) -> None:
        """A caller got no reply from Redis: send nothing more until Redis replies to a probe."""
        if self._probe is not None:
            return
        self.up = False
        self._back.clear()
        log.warning("redis is away", error=_name(error))
        self._probe = asyncio.create_task(self._knock(), name="redis probe")
        for tell in self.on_down:
            tell()

    async def back(self) -> None:
        """Wait until Redis replies again."""
        await self._back.wait()

    async def load_scripts(self, connection: "Connection") -> None:
        """Load our scripts into the server, which forgets them when it restarts."""
        await connection.send_packed_command([packed(b"SCRIPT", b"LOAD", script.lua.encode()) for script in ALL])
        for _ in ALL:
            await connection.read_response()

    async def close(self) -> None:
        """Stop probing, and close all connections."""
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
                    log.error("redis replies again, but cannot be used", error=wrong)
                continue
            log.info("redis is back")
            self._restored()
            return

    async def _check(self) -> None:
        """Raise `OSError` if there is no reply, `ValueError` if the server cannot be used."""
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
                "Redis refuses the user or the password of REDIS_URL, or commands that StreamForge needs."
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
                "redis may evict keys, which would cut streams off. Set maxmemory-policy to noeviction.",
                policy=said["maxmemory_policy"],
            )


def unavailable() -> StreamForgeError:
    """The error to raise while Redis is away."""
    return StreamForgeError("log_unavailable", retry_after=_RETRY_AFTER)


def overslept(deadline: float) -> bool:
    """Whether a deadline was missed because this process was stopped for a while, which says nothing about Redis.

    After such a pause other processes may have claimed our streams. If Redis counted as away, we would go on with them.
    """
    return asyncio.get_running_loop().time() > deadline + SILENCE


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200]
