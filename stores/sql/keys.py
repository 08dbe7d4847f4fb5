"""API keys: everything but the keys themselves."""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, RowMapping, bindparam, func, insert, or_, select, update

from domain.callers import ApiKey
from stores.sql.engine.database import Database
from stores.sql.tables import api_keys

MAX_LISTED = 1_000
"""Keys that are listed at most: the newest."""

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
    """What is known of keys. Where an owner is given, other owners' keys do not exist."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, key: ApiKey) -> None:
        """Keep a new key."""
        values = {column.name: getattr(key, column.name) for column in api_keys.c}
        values["scopes"] = " ".join(sorted(key.scopes))
        await self._database.write(lambda connection: connection.execute(_CREATE, values))

    async def get(self, key_id: str) -> ApiKey | None:
        """The key, also where it can no longer be used."""
        row = await self._database.read(
            lambda connection: connection.execute(_GET, {"key_id": key_id}).mappings().one_or_none()
        )
        return _key(row) if row is not None else None

    async def list(self, owner: str | None) -> Sequence[ApiKey]:
        """All keys of an owner, or of everybody, newest first."""
        query = select(api_keys).where(*_of(owner)).order_by(api_keys.c.created.desc(), api_keys.c.id).limit(MAX_LISTED)
        rows = await self._database.read(lambda connection: connection.execute(query).mappings().all())
        return [_key(row) for row in rows]

    async def revoke(self, key_id: str, when: float, *, owner: str | None = None) -> bool:
        """End its use, for good; false where there is no such key. The first moment stands."""
        there = (api_keys.c.id == key_id, *_of(owner))
        change = update(api_keys).where(*there).values(revoked=func.coalesce(api_keys.c.revoked, when))
        return await self._database.write(lambda connection: connection.execute(change).rowcount > 0)

    async def used(self, key_id: str, when: float) -> None:
        """Note that it was used; a later use that is already noted stands."""
        await self._database.write(lambda connection: connection.execute(_USED, {"key_id": key_id, "moment": when}))

    async def unusable(self, key_ids: Collection[str], now: float) -> set[str]:
        """Those of them that are revoked, expired or gone."""
        values = {"key_ids": sorted(key_ids), "moment": now}
        usable = await self._database.read(lambda connection: connection.execute(_USABLE, values).scalars().all())
        return set(key_ids) - set(usable)


def _of(owner: str | None) -> tuple[ColumnElement[bool], ...]:
    return () if owner is None else (api_keys.c.owner == owner,)


def _key(row: RowMapping) -> ApiKey:
    return ApiKey(**{**row, "scopes": frozenset(row["scopes"].split())})
