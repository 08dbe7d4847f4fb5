"""Keys are kept with their owner and their maker, and end, with what they have made."""

import asyncio
from dataclasses import replace

import pytest
import pytest_asyncio
from sqlalchemy import insert, select

from domain.callers import ApiKey
from stores.sql.engine.database import Database
from stores.sql.keys import MAX_DEAD, KeyStore
from stores.sql.tables import api_keys

KEY = ApiKey("k1", "ann", "laptop", "sf_k1_ab", b"\x00\xff" * 16, frozenset({"read", "chat"}), created=10.5)


@pytest.fixture
def keys(database: Database) -> KeyStore:
    return KeyStore(database)


async def test_a_key_comes_back_as_it_was(keys: KeyStore) -> None:
    await keys.create(KEY)
    await keys.create(replace(KEY, id="k2", scopes=frozenset(), expires=20.0))
    assert await keys.get("k1") == KEY
    assert await keys.get("k2") == replace(KEY, id="k2", scopes=frozenset(), expires=20.0)
    assert await keys.get("k3") is None


async def test_an_owner_sees_its_own_and_nobody_sees_all(keys: KeyStore) -> None:
    for number, owner in enumerate(["ann", "bob", "ann"]):
        await keys.create(replace(KEY, id=f"k{number}", owner=owner, created=float(-number)))
    assert [key.id for key in await keys.list("ann")] == ["k0", "k2"]
    assert [key.id for key in await keys.list(None)] == ["k0", "k1", "k2"]
    assert await keys.list("eve") == []


async def test_a_key_is_revoked_once_and_only_by_its_owner(keys: KeyStore) -> None:
    await keys.create(KEY)
    assert not await keys.revoke("k1", 11.0, owner="bob")
    assert not await keys.revoke("k2", 11.0)
    assert await keys.revoke("k1", 12.0, owner="ann") == {"k1"}
    assert await keys.revoke("k1", 13.0) == {"k1"}
    assert await keys.get("k1") == replace(KEY, revoked=12.0)


async def test_the_last_use_only_moves_forward(keys: KeyStore) -> None:
    await keys.create(KEY)
    await keys.used("k1", 30.0)
    await keys.used("k1", 20.0)
    await keys.used("gone", 20.0)
    assert await keys.get("k1") == replace(KEY, last_used=30.0)


async def test_the_unusable_are_the_revoked_the_expired_and_the_gone(keys: KeyStore) -> None:
    await keys.create(KEY)
    await keys.create(replace(KEY, id="revoked", revoked=1.0))
    await keys.create(replace(KEY, id="expired", expires=20.0))
    await keys.create(replace(KEY, id="expires", expires=20.5))
    everything = ["k1", "revoked", "expired", "expires", "gone"]
    assert await keys.unusable(everything, 20.0) == {"revoked", "expired", "gone"}
    assert await keys.unusable([], 20.0) == set()


@pytest_asyncio.fixture
async def family(keys: KeyStore) -> KeyStore:
    """Ann's first key made `a` and `b`, `a` made `aa`, and that one `aaa`. Her `second` key made `c`."""
    for name, parent in (
        ("first", None), ("second", None), ("a", "first"), ("b", "first"), ("aa", "a"), ("aaa", "aa"), ("c", "second"),
    ):  # fmt: skip
        assert await keys.create(replace(KEY, id=name, parent=parent))
    return keys


async def usable(keys: KeyStore, now: float = 11.0) -> set[str]:
    return {key.id for key in await keys.list("ann") if key.usable(now)}


async def test_what_a_key_has_made_ends_with_it_at_any_depth(family: KeyStore) -> None:
    assert set(await family.revoke("a", 11.0)) == {"a", "aa", "aaa"}
    assert await usable(family) == {"first", "second", "b", "c"}
    assert set(await family.revoke("first", 12.0)) == {"first", "a", "aa", "aaa", "b"}
    assert await usable(family) == {"second", "c"}
    assert [key.revoked for key in await family.list("ann") if key.id in ("aa", "b")] == [11.0, 12.0]


async def test_a_key_revokes_itself_and_what_it_made_and_no_elder_or_sibling(family: KeyStore) -> None:
    for other in ("first", "b", "second", "c", "nobody"):
        assert await family.revoke(other, 11.0, owner="ann", by="a") == frozenset()
    assert len(await usable(family)) == 7
    assert set(await family.revoke("aaa", 11.0, owner="ann", by="a")) == {"aaa"}
    assert set(await family.revoke("a", 11.0, owner="ann", by="a")) == {"a", "aa", "aaa"}
    assert await family.revoke("b", 11.0, owner="bob", by="first") == frozenset()


async def test_a_key_that_is_revoked_or_over_makes_none(family: KeyStore) -> None:
    await family.revoke("a", 11.0)
    await family.create(replace(KEY, id="over", expires=11.0))
    for maker in ("a", "aa", "over", "nobody"):
        assert not await family.create(replace(KEY, id=f"of {maker}", parent=maker, created=11.0))
        assert await family.get(f"of {maker}") is None


async def test_a_key_made_while_its_maker_is_revoked_does_not_live_on(family: KeyStore) -> None:
    """Chains are made at their ends while the first key is revoked: whatever was made in time is revoked with it."""

    async def make(number: int) -> None:
        maker = "aaa"
        for depth in range(5):
            if not await family.create(replace(KEY, id=f"m{number}.{depth}", parent=maker)):
                return
            maker = f"m{number}.{depth}"

    await asyncio.gather(*(make(number) for number in range(4)), family.revoke("first", 11.0))
    assert await usable(family) == {"second", "c"}


async def test_dead_keys_are_deleted_children_first(family: KeyStore) -> None:
    await family.revoke("aa", 11.0)
    await family.create(replace(KEY, id="over", expires=12.0))
    assert await family.prune(10.0) == 0
    assert await family.prune(12.0) == 2, "`over`, and `aaa`, which made none"
    assert await family.prune(12.0) == 1
    assert await family.prune(12.0) == 0
    assert {key.id for key in await family.list("ann")} == {"first", "second", "a", "b", "c"}


async def test_a_dead_key_stays_as_long_as_one_lives_that_was_made_with_it(family: KeyStore) -> None:
    """Otherwise revoking the key above would no longer find the one below."""
    await family.create(replace(KEY, id="old", parent="b", expires=12.0))
    await family.create(replace(KEY, id="young", parent="old"))
    assert await family.prune(20.0) == 0
    assert "young" in await family.revoke("first", 21.0)


async def test_an_owner_keeps_only_so_many_dead_keys(family: KeyStore, database: Database) -> None:
    dead = [{**_row(KEY), "id": f"d{number}", "created": number / 1000, "revoked": 5.0} for number in range(MAX_DEAD)]
    await database.write(lambda connection: connection.execute(insert(api_keys), dead))
    for number in range(3):
        await family.create(replace(KEY, id=f"n{number}"))
        await family.revoke(f"n{number}", 10.0)
    await family.create(replace(KEY, id="last"))
    query = select(api_keys.c.id).where(api_keys.c.revoked.is_not(None))
    kept = await database.read(lambda connection: set(connection.execute(query).scalars()))
    assert len(kept) == MAX_DEAD
    assert not {"d0", "d1", "d2"} & kept
    assert await family.count("ann", 11.0) == 8


def _row(key: ApiKey) -> dict[str, object]:
    return {**{column.name: getattr(key, column.name) for column in api_keys.c}, "scopes": ""}
