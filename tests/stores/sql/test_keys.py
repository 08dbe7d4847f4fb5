"""Keys are kept with their owner, and end."""

from dataclasses import replace

import pytest

from domain.callers import ApiKey
from stores.sql.engine.database import Database
from stores.sql.keys import KeyStore

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
    assert await keys.revoke("k1", 12.0, owner="ann")
    assert await keys.revoke("k1", 13.0)
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
