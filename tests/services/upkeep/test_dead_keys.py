"""Keys that ended long ago are deleted, with all that were made with them; others stay listed."""

from pathlib import Path

from domain.callers import ApiKey
from services.upkeep.dead_keys import KEPT, DeadKeys
from stores.sql.engine.database import open_database
from stores.sql.keys import KeyStore


async def test_what_has_been_dead_for_long_is_deleted(tmp_path: Path) -> None:
    async with open_database(f"sqlite:///{tmp_path / 'streamforge.db'}") as database:
        store = KeyStore(database)
        for depth, parent in enumerate([None, "k0", "k1", "k2"]):
            key = ApiKey(f"k{depth}", "ann", "", "sf_k", b"", frozenset(), 1.0, expires=100.0, parent=parent)
            await store.create(key)
        await store.create(ApiKey("fresh", "ann", "", "sf_f", b"", frozenset(), 1.0, expires=101.0))
        await DeadKeys(store, now=lambda: 100.0 + KEPT - 0.5).prune()
        assert len(await store.list("ann")) == 5
        await DeadKeys(store, now=lambda: 100.0 + KEPT).prune()
        assert [key.id for key in await store.list("ann")] == ["fresh"]
