"""The one writer of a process: the commands of all its streams go to Redis in one pipeline.

A batch is sent once the previous one has been answered, and contains everything that has been queued meanwhile. So
there is no timer, and there are few packets under load. A deadline applies to the whole batch; an event has neither a
task nor a timer of its own. If the connection breaks, the unanswered commands are sent again on a new one; those that
had already arrived come back as duplicates.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from stores.streams.codec import Unreadable
from stores.streams.shared.connection import PAUSE, SILENCE, Link, Unreachable, overslept

if TYPE_CHECKING:
    from redis.asyncio import Connection

log = structlog.get_logger("redis")

_AT_ONCE = 1000


class Call(Protocol):
    """A command to send. Exactly one of the two methods is called, in the order in which calls were sent."""

    packed: bytes

    def settle(self, reply: Any) -> None:
        """Redis has replied."""

    def fail(self, error: Exception) -> None:
        """Redis has not replied, or has refused. It may have run the command nevertheless."""


class PackedCommand:
    """A call with a result. `then` computes it from the reply, even if no caller waits for it any more."""

    __slots__ = ("_answer", "_then", "packed")

    def __init__(self, packed: bytes, then: Callable[[Any], Any] | None = None) -> None:
        self.packed = packed
        self._then = then
        self._answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def settle(self, reply: Any) -> None:
        try:
            answer = self._then(reply) if self._then else reply
        except (Unreadable, ValueError, TypeError, IndexError) as error:
            log.error("redis holds data that this program did not write", exc_info=error)
            answer = Unreachable("redis holds data that this program did not write")
        self._give(answer)

    def fail(self, error: Exception) -> None:
        self._give(Unreachable(str(error)))  # a result, not an exception: it may never be retrieved

    async def answer(self) -> Any:
        """The result; raises `Unreachable`."""
        answer = await self._answer
        if isinstance(answer, Unreachable):
            raise answer
        return answer

    def _give(self, answer: Any) -> None:
        if not self._answer.done():
            self._answer.set_result(answer)


class Writer:
    """Sends calls in order."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: deque[Call] = deque()
        self._bell = asyncio.Event()
        self._connection: Connection | None = None

    def send(self, call: Call) -> None:
        """Queue the call; if Redis is away, `fail` it at once."""
        if not self._link.up:
            call.fail(Unreachable("redis is away"))
            return
        self._waiting.append(call)
        if not self._bell.is_set():
            self._bell.set()

    async def ask(self, packed: bytes, then: Callable[[Any], Any] | None = None) -> Any:
        """Send a command and wait for its result; raises `Unreachable`."""
        question = PackedCommand(packed, then)
        self.send(question)
        return await question.answer()

    async def run(self) -> None:
        """Send queued calls, for ever."""
        try:
            while True:
                await self._bell.wait()
                self._bell.clear()
                while self._waiting:
                    await asyncio.sleep(0)  # tasks that the last replies have woken may queue more calls
                    await self._deliver(self._next())
        finally:
            self._give_up(self._waiting, Unreachable("the log is closed"))
            await self._disconnect()

    def _next(self) -> deque[Call]:
        if len(self._waiting) <= _AT_ONCE:
            batch, self._waiting = self._waiting, deque()
            return batch
        return deque(self._waiting.popleft() for _ in range(_AT_ONCE))

    async def _deliver(self, calls: deque[Call]) -> None:
        """Send the calls. Those that are not answered before the deadline have failed, and then so has the link."""
        from redis.exceptions import RedisError

        try:
            await self._in_time(calls)
        except (RedisError, OSError) as error:
            await self._disconnect()
            self._link.failed(error)
            self._give_up(calls, error)
            self._give_up(self._waiting, error)
        except Exception as error:  # a bug of ours in handling a reply: the loop must go on
            log.error("a reply from redis could not be handled", exc_info=error)
            await self._disconnect()
            self._give_up(calls, error)
        except asyncio.CancelledError:
            self._give_up(calls, Unreachable("the log is closed"))
            raise

    async def _in_time(self, calls: deque[Call]) -> None:
        from redis.exceptions import RedisError

        while calls:
            deadline = asyncio.get_running_loop().time() + SILENCE
            try:
                async with asyncio.timeout_at(deadline):
                    await self._until_answered(calls)
            except (RedisError, OSError):
                if not overslept(deadline):
                    raise
                await self._disconnect()

    async def _until_answered(self, calls: deque[Call]) -> None:
        from redis.exceptions import AuthenticationError, NoScriptError, RedisError

        while calls:
            try:
                await self._exchange(calls)
            except AuthenticationError:
                raise
            except NoScriptError:
                await self._disconnect()  # the scripts are loaded with the next connection
            except (RedisError, OSError):
                await self._disconnect()
                await asyncio.sleep(PAUSE)

    async def _exchange(self, calls: deque[Call]) -> None:
        from redis.exceptions import NoScriptError, ResponseError

        connection = self._connection or await self._connect()
        await connection.send_packed_command(b"".join([call.packed for call in calls]), check_health=False)
        while calls:
            try:
                reply = await connection.read_response(disable_decoding=True, timeout=math.inf)
            except NoScriptError:
                raise
            except ResponseError as error:
                log.error("redis refused a write", error=str(error)[:200])
                calls[0].fail(error)
            else:
                calls[0].settle(reply)
            calls.popleft()

    async def _connect(self) -> "Connection":
        self._connection = connection = self._link.connection()
        await connection.connect()  # type: ignore[no-untyped-call]
        await self._link.load_scripts(connection)
        return connection

    async def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.disconnect(nowait=True)

    def _give_up(self, calls: deque[Call], error: Exception) -> None:
        while calls:
            calls.popleft().fail(error)
