"""The store of API keys: everything about them except the keys themselves."""

from collections.abc import Collection, Sequence
from functools import partial

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from domain.callers import ApiKey
from stores.sql.engine.database import Database
from stores.sql.tables import api_keys

MAX_LISTED = 1_000
"""The most keys that a list returns, newest first."""
MAX_DEAD = 1_000
"""The most dead keys that are kept of one owner, the newest: making and revoking in a loop does not fill the table."""

_PRUNED_AT_ONCE = 500

_CREATE = insert(api_keys)
_GET = select(api_keys).where(api_keys.c.id == bindparam("key_id"))
_USED = (
    update(api_keys)
    .where(api_keys.c.id == bindparam("key_id"))
    .where(or_(api_keys.c.last_used.is_(None), api_keys.c.last_used < bindparam("moment")))
    .values(last_used=bindparam("moment"))
)
_IS_USABLE = (
    api_keys.c.revoked.is_(None),
    or_(api_keys.c.expires.is_(None), api_keys.c.expires > bindparam("moment")),
)
_USABLE = select(api_keys.c.id).where(api_keys.c.id.in_(bindparam("key_ids", expanding=True))).where(*_IS_USABLE)
_COUNT = select(func.count()).where(api_keys.c.owner == bindparam("owner_"), *_IS_USABLE)
# Shared: two keys may be made with one at the same time, but none while it is being revoked.
_HOLD = select(api_keys.c.id).where(api_keys.c.id == bindparam("key_id"), *_IS_USABLE).with_for_update(read=True)

_root = select(api_keys.c.id).where(api_keys.c.id == bindparam("root")).cte("family", recursive=True)
_family = _root.union(select(api_keys.c.id).join(_root, api_keys.c.parent == _root.c.id))
_FAMILY = select(_family.c.id)
_REVOKE = (
    update(api_keys).where(api_keys.c.id.in_(_FAMILY), api_keys.c.revoked.is_(None)).values(revoked=bindparam("moment"))
)
# In order, so that of two who revoke the same keys one waits for the other.
_LOCK = select(api_keys.c.id).where(api_keys.c.id.in_(_FAMILY)).order_by(api_keys.c.id).with_for_update()

# A key goes after those made with it: as long as one of them is there, so is the way to it from every key above.
_made = api_keys.alias()
_HAS_MADE_NONE = ~exists().where(_made.c.parent == api_keys.c.id)
_DEAD = or_(api_keys.c.revoked <= bindparam("moment"), api_keys.c.expires <= bindparam("moment"))
_DEAD_LEAVES = select(api_keys.c.id).where(_DEAD, _HAS_MADE_NONE)
_PRUNE = delete(api_keys).where(api_keys.c.id.in_(_DEAD_LEAVES.limit(_PRUNED_AT_ONCE).scalar_subquery()))
_TRIM = delete(api_keys).where(
    api_keys.c.id.in_(
        _DEAD_LEAVES.where(api_keys.c.owner == bindparam("owner_"))
        .order_by(api_keys.c.created.desc(), api_keys.c.id)
        .limit(_PRUNED_AT_ONCE)
        .offset(MAX_DEAD)
        .scalar_subquery()
    )
)


class KeyStore:
    """Stores API keys by id. Methods that take an owner see only that owner's keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, key: ApiKey) -> bool:
        """Store a new key; false if the one that it was made with has been revoked meanwhile, or has expired."""
        return await self._database.write(partial(_create, key=key))

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

    async def count(self, owner: str, now: float) -> int:
        """How many usable keys the owner has."""
        values = {"owner_": owner, "moment": now}
        return await self._database.read(lambda connection: connection.execute(_COUNT, values).scalar_one())

    async def revoke(
        self, key_id: str, when: float, *, owner: str | None = None, by: str | None = None
    ) -> Collection[str]:
        """Revoke a key for good, and every key that was made with it, or with one of those, and so on.

        Returns the ids of all of them, none if there is no such key. `by` revokes only itself and what was made with
        it: no other key exists for it. A key that is already revoked keeps its time.
        """
        return await self._database.write(partial(_revoke, key_id=key_id, when=when, owner=owner, by=by))

    async def prune(self, dead_before: float) -> int:
        """Delete keys that were revoked or had expired by then, at most some hundred; returns how many.

        Call it until it returns 0: a key is deleted only once all keys that were made with it are gone.
        """
        values = {"moment": dead_before}
        return await self._database.write(lambda connection: connection.execute(_PRUNE, values).rowcount)

    async def used(self, key_id: str, when: float) -> None:
        """Set when the key was last used, unless a later use is already stored."""
        await self._database.write(lambda connection: connection.execute(_USED, {"key_id": key_id, "moment": when}))

    async def unusable(self, key_ids: Collection[str], now: float) -> set[str]:
        """The ids whose keys are revoked, expired or deleted."""
        values = {"key_ids": sorted(key_ids), "moment": now}
        usable = await self._database.read(lambda connection: connection.execute(_USABLE, values).scalars().all())
        return set(key_ids) - set(usable)


def _create(connection: Connection, key: ApiKey) -> bool:
    if key.parent is not None:
        held = connection.execute(_HOLD, {"key_id": key.parent, "moment": key.created}).one_or_none()
        if held is None:
            return False
    values = {column.name: getattr(key, column.name) for column in api_keys.c}
    values["scopes"] = " ".join(sorted(key.scopes))
    connection.execute(_CREATE, values)
    connection.execute(_TRIM, {"owner_": key.owner, "moment": key.created})
    return True


def _revoke(connection: Connection, key_id: str, when: float, owner: str | None, by: str | None) -> Collection[str]:
    there = connection.execute(select(api_keys.c.id).where(api_keys.c.id == key_id, *_of(owner))).first()
    if there is None or (by is not None and key_id not in connection.execute(_FAMILY, {"root": by}).scalars()):
        return frozenset()
    connection.execute(_LOCK, {"root": key_id}).all()
    # Again for keys that others were making when the statement began: once it has changed none, there can be no more.
    while connection.execute(_REVOKE, {"root": key_id, "moment": when}).rowcount > 0:
        pass
    return frozenset(connection.execute(_FAMILY, {"root": key_id}).scalars())


def _of(owner: str | None) -> tuple[ColumnElement[bool], ...]:
    return () if owner is None else (api_keys.c.owner == owner,)


def _key(row: RowMapping) -> ApiKey:
    return ApiKey(**{**row, "scopes": frozenset(row["scopes"].split())})
