"""The idempotency keys of a shared log: in Redis, and in memory those of the streams that this process writes.

So a process knows its own keys while Redis is away, or has lost them.
"""

import contextlib

from stores.streams.base import Binding
from stores.streams.local import LocalStreams
from stores.streams.shared.commands import Commands, read_binding
from stores.streams.shared.connection import Unreachable
from stores.streams.shared.writer import Writer


class RedisKeyBook:
    """The idempotency keys of all processes."""

    def __init__(self, streams: LocalStreams, writer: Writer, commands: Commands) -> None:
        self._streams = streams
        self._writer = writer
        self._commands = commands

    async def bind(self, owner: str, key: str, binding: Binding) -> Binding:
        bound = self._streams.bound(owner, key)
        if bound is not None:
            return bound
        tail = self._streams.tails.get(binding.stream_id)
        if tail is not None and tail.shared:
            with contextlib.suppress(Unreachable):
                value: bytes = await self._writer.ask(self._commands.bind(owner, key, binding))
                standing = read_binding(value) or binding
                if standing.stream_id != binding.stream_id:
                    return standing
        return self._streams.bind(owner, key, binding)

    async def find(self, owner: str, key: str) -> Binding | None:
        bound = self._streams.bound(owner, key)
        if bound is None:
            with contextlib.suppress(Unreachable):
                value: bytes | None = await self._writer.ask(self._commands.bound(owner, key))
                return read_binding(value or b"")
        return bound

    async def release(self, owner: str, key: str, stream_id: str) -> None:
        self._streams.release(owner, key, stream_id)
        with contextlib.suppress(Unreachable):
            await self._writer.ask(self._commands.release(owner, key, stream_id))
