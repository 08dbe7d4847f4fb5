"""The store of usage: one record for each stream, and sums over them.

Money is stored as whole ten-thousand-millionths of its currency, so that sums are exact on both databases.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import bindparam, case, func, select

from domain.usage import By, Cost, UsageRecord, UsageSum
from stores.sql.engine.database import Database
from stores.sql.rows import insert_unless_there
from stores.sql.tables import usage

MAX_SUMS = 1_000
"""The most sums that a query returns."""

_UNIT = Decimal("1e-10")
_MOST = 2**62
_USED = select(func.coalesce(func.sum(usage.c.input_tokens + usage.c.output_tokens), 0)).where(
    usage.c.owner == bindparam("owner"), usage.c.day == bindparam("day")
)
_COLUMNS = {"day": usage.c.day, "model": usage.c.model, "session": usage.c.session_id, "owner": usage.c.owner}


class UsageStore:
    """Stores the usage of all owners."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = insert_unless_there(database, usage)

    async def add(self, records: Sequence[UsageRecord]) -> None:
        """Store the records. If a stream already has one, that one is kept."""
        rows = [_row(record) for record in records]
        await self._database.write(lambda connection: connection.execute(self._insert, rows))

    async def tokens(self, owner: str, day: str) -> int:
        """The tokens of all of the owner's streams that ended on this ISO day (UTC)."""
        values = {"owner": owner, "day": day}
        return await self._database.read(lambda connection: int(connection.execute(_USED, values).scalar_one()))

    async def total(
        self, owner: str | None, *, since: str | None, until: str | None, by: Collection[By]
    ) -> list[UsageSum]:
        """Sums over the streams of one owner, or of all if it is `None`, between two ISO days (UTC, both included).

        There is one sum for each currency and each combination of the fields in `by`; streams without a cost have sums
        of their own. The newest days come first.
        """
        keys = {name: _COLUMNS[name].label(_FIELDS[name]) for name in _COLUMNS if name in by}
        query = (
            select(
                func.count().label("streams"),
                *(func.coalesce(func.sum(usage.c[name]), 0).label(name) for name in _TOKENS),
                func.min(case((usage.c.exact, 1), else_=0)).label("exact"),
                func.sum(usage.c.cost).label("cost"),
                usage.c.currency,
                *keys.values(),
            )
            .group_by(usage.c.currency, *keys.values())
            .order_by(*(key.desc() if name == "day" else key for name, key in keys.items()), usage.c.currency)
            .limit(MAX_SUMS)
        )
        if owner is not None:
            query = query.where(usage.c.owner == owner)
        if since is not None:
            query = query.where(usage.c.day >= since)
        if until is not None:
            query = query.where(usage.c.day <= until)
        rows = await self._database.scan(lambda connection: connection.execute(query).mappings().all())
        return [
            UsageSum(
                **{
                    **row,
                    **{name: int(row[name]) for name in _TOKENS},
                    "exact": bool(row["exact"]),
                    "cost": _money(row["cost"]),
                }
            )
            for row in rows
        ]


_FIELDS = {"day": "day", "model": "model", "session": "session_id", "owner": "owner"}
_TOKENS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")


def _units(cost: Cost) -> int:
    return min(int((cost.amount / _UNIT).to_integral_value()), _MOST)


def _money(units: int | None) -> Decimal | None:
    return None if units is None else (Decimal(int(units)) * _UNIT).normalize()


def _row(record: UsageRecord) -> dict[str, Any]:
    return {
        "owner": record.owner,
        "key_id": record.key_id,
        "stream_id": record.stream_id,
        "session_id": record.session_id,
        "model": record.model,
        "state": record.state,
        "day": datetime.fromtimestamp(record.created, UTC).date().isoformat(),
        "input_tokens": record.usage.input_tokens,
        "output_tokens": record.usage.output_tokens,
        "cached_tokens": record.usage.cached_tokens,
        "reasoning_tokens": record.usage.reasoning_tokens,
        "exact": record.usage.exact,
        "cost": _units(record.cost) if record.cost else None,
        "currency": record.cost.currency if record.cost else None,
        "created": record.created,
    }
