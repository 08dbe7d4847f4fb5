"""Whatever happens in whatever order: every reader has the log, without a gap and nothing twice, and one end."""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.events import TERMINAL, Delta, Failed
from stores.streams.base import Appended, Fenced
from stores.streams.shared.log import RedisStreamLog
from stores.streams.tail import Tail
from tests.stores.streams.logs import CANCELLED, DONE, SPENT, info, shared_log, until
from tests.support.effort import examples
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.valkey import RedisServer

LOST = Failed("producer_lost", SPENT)
ACTIONS = ["append", "append", "append", "find", "resume", "cut", "tear", "reset", "seal", "cancel", "claim"]


class World:
    """A producer behind a bad network, and two replicas that read, cancel and claim its stream."""

    def __init__(self, proxy: FaultProxy, here: RedisStreamLog, others: list[RedisStreamLog], tail: Tail) -> None:
        self.proxy = proxy
        self.here = here
        self.others = others
        self.tail = tail
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self.copies: list[Tail] = []
        self.claimed: tuple[RedisStreamLog, Tail] | None = None

    async def append(self) -> None:
        seq = len(self.tail.events) + 1
        text = f"{seq}:{secrets.token_hex(2)} "
        appended = await self.here.append(self.tail, seq, Delta(text))
        (self.acknowledged if appended is Appended.OK else self.refused).append(text)

    async def find(self) -> None:
        for log in self.others:
            found = await log.find(self.tail.info.id)
            assert found is not None
            self.copies.append(found)

    async def resume(self) -> None:
        """A reader that comes to a replica which does not know the stream yet."""
        for log in self.others:
            log._tailer.forget(self.tail.info.id)
        await self.find()

    async def cut(self) -> None:
        self.proxy.cut_in = 0

    async def tear(self) -> None:
        self.proxy.cut_in = 3

    async def reset(self) -> None:
        self.proxy.reset()

    async def seal(self) -> None:
        with contextlib.suppress(Fenced):
            await self.here.seal(self.tail, DONE)

    async def cancel(self) -> None:
        copy = await self.others[0].find(self.tail.info.id)
        assert copy is not None
        with contextlib.suppress(Fenced):
            await self.others[0].seal(copy, CANCELLED)

    async def claim(self) -> None:
        log = self.others[1]
        copy = await log.find(self.tail.info.id)
        assert copy is not None
        self.copies.append(copy)
        if await log.peers.claim(copy, force=True):
            self.claimed = (log, copy)

    async def end(self) -> None:
        with contextlib.suppress(Fenced):
            await self.here.announce(self.tail, await self.here.seal(self.tail, DONE))
        if self.claimed is not None:
            log, copy = self.claimed
            await log.announce(copy, await log.seal(copy, LOST))


async def play(server: RedisServer, steps: list[list[str]]) -> None:
    prefix = f"test-{secrets.token_hex(8)}"
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(fault_proxy(server.port))
        here = await stack.enter_async_context(shared_log(proxy.url, prefix=prefix))
        others = [await stack.enter_async_context(shared_log(server.url, prefix=prefix)) for _ in range(2)]
        world = World(proxy, here, others, await here.open(info()))
        for step in steps:
            actions: list[Callable[[], Awaitable[Any]]] = [getattr(world, name) for name in dict.fromkeys(step)]
            await asyncio.gather(*(action() for action in actions))
        await world.end()
        await world.find()
        fresh = await stack.enter_async_context(shared_log(server.url, prefix=prefix))
        truth = await fresh.find(world.tail.info.id)
        assert truth is not None
        assert world.tail.shared
        followed = [world.tail, *(log._known(world.tail.info.id) for log in others)]
        await until(lambda: all(tail is not None and tail.ended for tail in followed))
        assert all(tail is not None and tail.events == truth.events for tail in followed)
        for copy in world.copies:
            assert copy.events == truth.events[: len(copy.events)]
        texts = [event.text for event in truth.events if isinstance(event, Delta)]
        # One may have arrived without its producer's learning of it, who was then fenced.
        assert texts[: len(world.acknowledged)] == world.acknowledged
        assert texts[len(world.acknowledged) :] in ([], *([text] for text in world.refused))
        assert [isinstance(event, TERMINAL) for event in truth.events].index(True) == len(truth.events) - 1
        assert truth.events[-1] == truth.outcome


@given(st.lists(st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=4), max_size=12))
@settings(max_examples=examples(40), deadline=None)
def test_any_schedule_leaves_one_log_that_every_reader_has(valkey: RedisServer, steps: list[list[str]]) -> None:
    asyncio.run(play(valkey, steps))
