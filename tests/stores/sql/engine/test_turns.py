"""Who has scanned least is next, and a turn that nobody takes is not lost."""

import asyncio

import pytest

from stores.sql.engine.timeouts import CutShort
from stores.sql.engine.turns import Turns


async def scan(turns: Turns, spent: float, done: list[float], release: asyncio.Event, seconds: float = 9) -> None:
    async with turns.turn(spent, seconds):
        done.append(spent)
        await release.wait()


async def started(*scans: asyncio.Task[None]) -> None:
    """Every task has come to where it waits."""
    for _ in range(len(scans) + 3):
        await asyncio.sleep(0)


async def test_of_those_that_wait_the_one_that_had_least_is_next() -> None:
    turns, release, done = Turns(1), asyncio.Event(), list[float]()
    scans = [asyncio.create_task(scan(turns, spent, done, release)) for spent in (5.0, 3.0, 0.5, 2.0, 0.5)]
    await started(*scans)
    assert done == [5.0]
    release.set()
    await asyncio.gather(*scans)
    assert done == [5.0, 0.5, 0.5, 2.0, 3.0]


@pytest.mark.parametrize("early", [True, False])
async def test_a_turn_of_one_who_leaves_is_given_to_another(*, early: bool) -> None:
    """Who leaves may have been given the turn already, without having noticed."""
    turns, release, done = Turns(1), asyncio.Event(), list[float]()
    release.set()
    async with turns.turn(0.0, 9):
        gone, last = (asyncio.create_task(scan(turns, spent, done, release)) for spent in (1.0, 2.0))
        await started(gone, last)
        if early:
            gone.cancel()
    gone.cancel()
    await asyncio.wait([gone, last], timeout=5)
    assert done == [2.0]
    await asyncio.wait_for(scan(turns, 3.0, done, release), 5)


async def test_nobody_waits_for_ever() -> None:
    turns, release, done = Turns(1), asyncio.Event(), list[float]()
    first = asyncio.create_task(scan(turns, 0.0, done, release))
    await started(first)
    with pytest.raises(CutShort):
        await scan(turns, 0.0, done, release, 0.01)
    release.set()
    await first
    await asyncio.wait_for(scan(turns, 1.0, done, release), 5)
