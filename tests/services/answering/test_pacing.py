"""Shared timers: never early, at most a slot late, and unmoved by those who left."""

import asyncio

from services.answering.pacing import SLOT, Pacer


async def test_a_moment_never_comes_early_and_those_of_one_slot_come_together() -> None:
    pacer = Pacer()
    begun = pacer.now()
    moments = [begun + 0.02, begun + 0.021, begun + 0.05]
    order: list[int] = []

    async def wait(number: int) -> None:
        await pacer.until(moments[number])
        assert pacer.now() >= moments[number]
        order.append(number)

    async with asyncio.timeout(5):
        await asyncio.gather(*(wait(number) for number in reversed(range(3))))
    assert order[-1] == 2


async def test_a_moment_that_is_past_comes_at_once() -> None:
    pacer = Pacer()
    async with asyncio.timeout(5):
        await pacer.until(pacer.now() - 10 * SLOT)


async def test_one_that_is_cancelled_leaves_the_others_their_moment() -> None:
    pacer = Pacer()
    moment = pacer.now() + 0.02
    gone, stays = pacer.until(moment), pacer.until(moment)
    gone.cancel()
    async with asyncio.timeout(5):
        await stays
    assert pacer._slots == {}
