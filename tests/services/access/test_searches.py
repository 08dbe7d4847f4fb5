"""An owner's searches take turns: as many as may run do, some wait, the others are refused, and nobody else notices."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from domain.errors import StreamForgeError
from services.access.searches import Searches


class Room:
    """Searches that stay inside until they are let out, in the order in which they came in."""

    def __init__(self, searches: Searches) -> None:
        self._searches = searches
        self.inside: list[str] = []
        self._out = asyncio.Event()

    async def search(self, name: str, owner: str = "ann", *, part: bool = False) -> str:
        async with self._searches.turn(owner, part=part):
            self.inside.append(name)
            await self._out.wait()
        return name

    def let_out(self) -> None:
        self._out.set()


@asynccontextmanager
async def searching(
    room: Room, *names: str, owner: str = "ann", part: bool = False
) -> AsyncIterator[list[asyncio.Task[str]]]:
    """So many searches at once, each as far as it gets."""
    tasks = [asyncio.create_task(room.search(name, owner, part=part)) for name in names]
    await settled()
    try:
        yield tasks
    finally:
        room.let_out()
        await asyncio.gather(*tasks, return_exceptions=True)


async def settled() -> None:
    """Whatever can go on has gone on."""
    for _ in range(10):
        await asyncio.sleep(0)


def refusal(task: asyncio.Task[str]) -> tuple[str, int | None]:
    error = task.exception()
    assert isinstance(error, StreamForgeError)
    assert error.share is not None
    assert error.share.name == "searches"
    return error.code, error.retry_after


async def test_two_run_eight_wait_and_one_more_is_refused() -> None:
    searches = Searches(2)
    room = Room(searches)
    async with searching(room, *map(str, range(11))) as tasks:
        assert room.inside == ["0", "1"]
        assert [task.done() for task in tasks] == [*[False] * 10, True]
        assert refusal(tasks[10]) == ("quota_exceeded", 5)
        share = await searches.share("ann")
        assert share is not None
        assert (share.limit, share.used) == (10, 10)
        async with searching(room, "bob's", owner="bob"):
            assert room.inside[-1] == "bob's", "ann's searches are nothing to bob"
    assert room.inside == ["0", "1", "bob's", *map(str, range(2, 10))], "first come, first served"
    share = await searches.share("ann")
    assert share is not None
    assert share.used == 0
    assert not searches._lines, "an owner who searches nothing takes no memory"


async def test_who_waits_too_long_is_refused_and_leaves_its_place() -> None:
    searches = Searches(1, wait_seconds=0.01)
    room = Room(searches)
    async with searching(room, "one"):
        with pytest.raises(StreamForgeError, match="got no turn") as refused:
            await room.search("two")
        assert refused.value.retry_after == 5
    assert await room.search("three") == "three"


async def test_who_leaves_while_it_waits_takes_no_turn() -> None:
    room = Room(Searches(1))
    async with searching(room, "one", "two", "three") as tasks:
        tasks[1].cancel()
        room.let_out()
        assert [await tasks[0], await tasks[2]] == ["one", "three"]
        assert room.inside == ["one", "three"]


async def test_a_search_that_fails_gives_its_turn_back() -> None:
    searches = Searches(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with searches.turn("ann"):
                raise ZeroDivisionError


async def test_parts_of_answers_wait_in_any_number() -> None:
    room = Room(Searches(1))
    async with searching(room, *map(str, range(50)), part=True) as tasks:
        assert (room.inside, sum(task.done() for task in tasks)) == (["0"], 0)
        room.let_out()
        assert await asyncio.gather(*tasks) == [*map(str, range(50))]


async def test_without_a_limit_all_run() -> None:
    searches = Searches(None)
    room = Room(searches)
    async with searching(room, *map(str, range(50))):
        assert len(room.inside) == 50
        assert await searches.share("ann") is None
