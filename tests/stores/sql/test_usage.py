"""What was used is counted once, and summed exactly."""

from dataclasses import replace
from decimal import Decimal

import pytest

from domain.messages import new_id
from domain.usage import Cost, Usage, UsageRecord, UsageSum
from stores.sql.conversations.sessions import SessionStore
from stores.sql.engine.database import Database
from stores.sql.usage import UsageStore

NOON = 1_767_182_400.0  # 2025-12-31T12:00:00Z
RECORD = UsageRecord(
    "ann", "k1", "s" * 32, None, "m1", "completed", Usage(10, 20, exact=True, cached_tokens=3),
    Cost(Decimal("0.1000000001"), "USD", "catalogue"), NOON,
)  # fmt: skip


@pytest.fixture
def usage(database: Database) -> UsageStore:
    return UsageStore(database)


async def test_a_stream_is_counted_once(usage: UsageStore) -> None:
    await usage.add([RECORD])
    await usage.add([replace(RECORD, model="m2")])
    assert await usage.total("ann", since=None, until=None, by=["model"]) == [
        UsageSum(1, 10, 20, 3, 0, exact=True, cost=Decimal("0.1000000001"), currency="USD", model="m1")
    ]


async def test_sums_are_by_what_is_asked_and_by_currency(usage: UsageStore) -> None:
    session = new_id()
    for changes in (
        {},
        {"created": NOON + 86_400, "usage": Usage(1, 1, exact=False, reasoning_tokens=1)},
        {"cost": Cost(Decimal(2), "EUR", "catalogue"), "session_id": session},
        {"cost": None},
        {"owner": "bob", "model": "m2"},
    ):
        await usage.add([replace(RECORD, stream_id=new_id(), **changes)])

    async def total(owner: str | None, *by: str, since: str | None = None, until: str | None = None) -> list[UsageSum]:
        return await usage.total(owner, since=since, until=until, by=by)  # type: ignore[arg-type]

    sums = {one.currency: one for one in await total("ann")}
    assert sums["USD"] == UsageSum(2, 11, 21, 3, 1, exact=False, cost=Decimal("0.2000000002"), currency="USD")
    assert sums["EUR"].cost == 2
    assert sums[None].cost is None
    assert [(one.day, one.streams) for one in await total("ann", "day", since="2026-01-01")] == [("2026-01-01", 1)]
    assert {one.day for one in await total("ann", "day", until="2025-12-31")} == {"2025-12-31"}
    assert {(one.owner, one.model) for one in await total(None, "owner", "model")} == {("ann", "m1"), ("bob", "m2")}
    assert {one.session_id for one in await total("ann", "session")} == {None, session}
    assert await total("eve") == []


async def test_usage_outlives_its_session_and_forgets_it_with_everything(database: Database, usage: UsageStore) -> None:
    sessions = SessionStore(database)
    session = await sessions.create("ann", client_id=None, title=None, now=1.0)
    await usage.add([replace(RECORD, session_id=session.id)])
    await sessions.delete("ann", session.id)
    assert [one.session_id for one in await usage.total("ann", since=None, until=None, by=["session"])] == [session.id]
    await sessions.delete_all("ann")
    assert [one.session_id for one in await usage.total("ann", since=None, until=None, by=["session"])] == [None]
    assert [one.streams for one in await usage.total("ann", since=None, until=None, by=[])] == [1]


async def test_the_newest_days_come_first(usage: UsageStore) -> None:
    days = range(3)
    await usage.add([replace(RECORD, stream_id=new_id(), created=NOON + day * 86_400) for day in days])
    sums = await usage.total("ann", since=None, until=None, by=["day"])
    assert [one.day for one in sums] == ["2026-01-02", "2026-01-01", "2025-12-31"]
