"""PostgreSQL's store makes what it needs, once, or says who has to."""

import asyncio

import pytest

from domain.documents import Index
from domain.messages import new_id
from stores.sql.engine.database import open_database
from stores.sql.engine.schema import SchemaError, migrate
from stores.vectors.pgvector import PgVectors
from tests.stores.vectors.places import SqlPlace, unit
from tests.support.postgres import Postgres

INDEX = Index("m", 2)


async def test_of_several_that_use_it_first_at_once_all_are_content(postgres_url: str) -> None:
    place = SqlPlace(postgres_url)
    ids = [new_id() for _ in range(4)]
    await place.know("ann", *ids)

    async def use(document_id: str) -> None:
        async with place.open() as store:
            await asyncio.gather(*(store.add(INDEX, "ann", document_id, [unit(1, 0)]) for _ in range(2)))

    await asyncio.gather(*map(use, ids))
    async with place.open() as store:
        hits = await store.search(INDEX, "ann", unit(1, 0), document_ids=None, limit=9)
        assert sorted(hit.key.document_id for hit in hits) == sorted(ids)


def test_a_user_who_may_not_make_the_extension_is_told_who_may(postgres: Postgres) -> None:
    with postgres.database() as url:
        migrate(url)
        name = url.rpartition("/")[2]
        postgres.execute("CREATE ROLE plain LOGIN")
        try:
            plain = url.replace("postgres@", "plain@")

            async def prepare() -> None:
                async with open_database(plain) as database:
                    await PgVectors(database).prepare()

            postgres.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO plain", name)
            postgres.execute("GRANT CREATE ON SCHEMA public TO plain", name)
            with pytest.raises(SchemaError, match="administrator run: CREATE EXTENSION vector"):
                asyncio.run(prepare())
            postgres.execute("CREATE EXTENSION vector", name)
            asyncio.run(prepare())
            asyncio.run(prepare())
        finally:
            postgres.execute("DROP OWNED BY plain", name)
            postgres.execute("DROP ROLE plain")
