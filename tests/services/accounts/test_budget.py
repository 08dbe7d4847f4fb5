"""F20, T23: no owner's answers take more tokens in a day than its budget has, however many are asked for at once."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from domain.callers import Share
from domain.errors import StreamForgeError
from domain.usage import Usage, UsageRecord
from services.accounts.budget import Reservation, TokenBudget
from services.storage import Storage

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
HALF_A_DAY = 43_200


class Clock:
    """The time of day."""

    now = NOON

    def __call__(self) -> float:
        return self.now


def record(tokens: int, number: int = 1, owner: str = "ann", created: float = NOON) -> UsageRecord:
    usage = Usage(tokens - 1, 1, exact=True)
    return UsageRecord(owner, None, f"{number:032x}", None, "m", "completed", usage, None, created)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def storage(url: str) -> AsyncIterator[Storage]:
    opened = Storage(url)
    yield opened
    await opened.close()


@pytest.fixture
def budget(storage: Storage, clock: Clock) -> TokenBudget:
    return TokenBudget(storage, 300, fresh_seconds=60, wall_clock=clock)


async def used(budget: TokenBudget, owner: str = "ann") -> int:
    share = await budget.share(owner)
    assert share is not None
    return share.used


@contextmanager
def refused(retry_after: int | None, *, used: int) -> Iterator[None]:
    with pytest.raises(StreamForgeError) as error:
        yield
    assert (error.value.code, error.value.retry_after) == ("quota_exceeded", retry_after)
    assert error.value.share == Share("tokens", 300, used, "2026-02-01T00:00:00Z")


async def reserve(budget: TokenBudget, tokens: int, owner: str = "ann") -> Reservation:
    reservation = await budget.reserve(owner, tokens)
    assert reservation is not None
    return reservation


async def test_of_fifty_at_once_no_more_get_in_than_there_is_room_for(budget: TokenBudget) -> None:
    """None has been here before, so all of them ask the database first."""
    asked = await asyncio.gather(*(budget.reserve("ann", 100) for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(each, Reservation) for each in asked) == 3
    assert await used(budget) == 300
    assert await budget.reserve("bob", 300), "what ann uses is nothing to bob"


async def test_what_was_not_taken_is_free_when_the_answer_ends(budget: TokenBudget, storage: Storage) -> None:
    first = await reserve(budget, 200)
    with refused(5, used=200):
        await budget.reserve("ann", 101)
    ended = record(50)
    first.release()
    budget.queued(ended)
    assert await used(budget) == 50, "between its end and the database"
    await storage.usage.add([ended])
    budget.stored([ended])
    assert await used(budget) == 50
    first.release()
    await reserve(budget, 250)
    with refused(5, used=300):
        await budget.reserve("ann", 1)


async def test_what_other_processes_have_stored_counts(storage: Storage, clock: Clock) -> None:
    await storage.usage.add([record(120), record(900, 2, created=NOON - 86_400), record(900, 3, "bob")])
    budget = TokenBudget(storage, 300, fresh_seconds=0, wall_clock=clock)
    assert await used(budget) == 120
    await storage.usage.add([record(180, 4)])
    await used(budget)  # the database is asked again, and nobody waits for that
    await budget.close()
    with refused(HALF_A_DAY, used=300):
        await budget.reserve("ann", 1)
    await budget.close()


async def test_what_is_stored_while_the_database_looks_is_not_lost(clock: Clock) -> None:
    """It has looked before the record was there, and answers after it was stored."""
    looking, answer = asyncio.Event(), asyncio.Event()

    class Slow:
        usage: Any

        async def tokens(self, owner: str, day: str) -> int:
            looking.set()
            await answer.wait()
            return 0

    slow: Any = Slow()
    slow.usage = slow
    budget = TokenBudget(slow, 300, fresh_seconds=60, wall_clock=clock)
    asking = asyncio.create_task(used(budget))
    await looking.wait()
    ended = record(70)
    budget.queued(ended)
    budget.stored([ended])
    answer.set()
    assert await asking == 70


async def test_at_midnight_the_day_begins_anew_but_for_what_runs(
    budget: TokenBudget, storage: Storage, clock: Clock
) -> None:
    await storage.usage.add([record(200)])
    running = await reserve(budget, 100)
    with refused(HALF_A_DAY, used=300):
        await budget.reserve("ann", 101)
    clock.now += HALF_A_DAY
    assert await used(budget) == 100
    share = await budget.share("ann")
    assert share is not None
    assert share.resets == "2026-02-02T00:00:00Z"
    running.release()
    assert await budget.reserve("ann", 300)


async def test_more_than_a_day_has_is_never_worth_waiting_for(budget: TokenBudget) -> None:
    with refused(None, used=0):
        await budget.reserve("ann", 301)


async def test_a_better_estimate_replaces_the_first_one(budget: TokenBudget) -> None:
    reservation = await reserve(budget, 250)
    reservation.change(80)
    assert await used(budget) == 80


@pytest.mark.parametrize("url", ["sqlite:////dev/null/at/all.db"])
async def test_while_the_database_is_away_what_is_known_here_counts(budget: TokenBudget) -> None:
    await reserve(budget, 300)
    with refused(5, used=300):
        await budget.reserve("ann", 1)


async def test_without_a_limit_nothing_is_asked_and_nothing_kept(tmp_path: Path) -> None:
    storage = Storage(f"sqlite:///{tmp_path / 'streamforge.db'}")
    budget = TokenBudget(storage, None, fresh_seconds=0)
    assert await budget.reserve("ann", 10**12) is None
    budget.queued(record(5))
    budget.stored([record(5)])
    assert await budget.share("ann") is None
    assert not storage.opened
    assert not budget._accounts


async def test_owners_who_do_nothing_are_forgotten(budget: TokenBudget) -> None:
    held = await reserve(budget, 10, "busy")
    for number in range(10_050):
        budget.queued(replace(record(5), owner=f"owner {number}"))
        budget.stored([replace(record(5), owner=f"owner {number}")])
    assert len(budget._accounts) <= 10_001
    assert await used(budget, "busy") == 10
    held.release()
