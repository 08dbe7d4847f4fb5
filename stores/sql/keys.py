"""The store of API keys: everything about them except the keys themselves."""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, RowMapping, bindparam, func, insert, or_, select, update

from domain.callers import ApiKey
from stores.sql.engine.database import Database
from stores.sql.tables import api_keys

MAX_LISTED = 1_000
"""The most keys that a list returns, newest first."""

_CREATE = insert(api_keys)
_GET = select(api_keys).where(api_keys.c.id == bindparam("key_id"))
_USED = (
    update(api_keys)
    .where(api_keys.c.id == bindparam("key_id"))
    .where(or_(api_keys.c.last_used.is_(None), api_keys.c.last_used < bindparam("moment")))
    .values(last_used=bindparam("moment"))
)
_USABLE = (
    select(api_keys.c.id)
    .where(api_keys.c.id.in_(bindparam("key_ids", expanding=True)))
    .where(api_keys.c.revoked.is_(None))
    .where(or_(api_keys.c.expires.is_(None), api_keys.c.expires > bindparam("moment")))
)


class KeyStore:
    """Stores API keys by id. Methods that take an owner see only that owner's keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, key: ApiKey) -> None:
        values = {column.name: getattr(key, column.name) for column in api_keys.c}
        values["scopes"] = " ".join(sorted(key.scopes))
        await self._database.write(lambda connection: connection.execute(_CREATE, values))

    async def get(self, key_id: str) -> ApiKey | None:
        """The key, even if it is revoked or expired."""
        row = await self._database.read(
            lambda connection: connection.execute(_GET, {"key_id": key_id}).mappings().one_or_none()
        )
        return _key(row) if row is not None else None

    async def list(self, owner: str | None) -> Sequence[ApiKey]:
        """The keys of an owner, or of all owners if it is `None`, newest first."""
        query = select(api_keys).where(*_of(owner)).order_by(api_keys.c.created.desc(), api_keys.c.id).limit(MAX_LISTED)
        rows = await self._database.read(lambda connection: connection.execute(query).mappings().all())
        return [_key(row) for row in rows]

    async def revoke(self, key_id: str, when: float, *, owner: str | None = None) -> bool:
        """Revoke a key for good; a second call keeps the first time. False if there is no such key."""
        there = (api_keys.c.id == key_id, *_of(owner))
        change = update(api_keys).where(*there).values(revoked=func.coalesce(api_keys.c.revoked, when))
        return await self._database.write(lambda connection: connection.execute(change).rowcount > 0)

    async def used(self, key_id: str, when: float) -> None:
        """Set when the key was last used, unless a later use is already stored."""
        await self._database.write(lambda connection: connection.execute(_USED, {"key_id": key_id, "moment": when}))

    async def unusable(self, key_ids: Collection[str], now: float) -> set[str]:
        """The ids whose keys are revoked, expired or deleted."""
        values = {"key_ids": sorted(key_ids), "moment": now}
        usable = await self._database.read(lambda connection: connection.execute(_USABLE, values).scalars().all())
        return set(key_ids) - set(usable)


def _of(owner: str | None) -> tuple[ColumnElement[bool], ...]:
    return () if owner is None else (api_keys.c.owner == owner,)


def _key(row: RowMapping) -> ApiKey:
    return ApiKey(**{**row, "scopes": frozenset(row["scopes"].split())})
