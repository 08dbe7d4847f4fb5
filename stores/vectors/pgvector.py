"""Vectors in PostgreSQL with its extension `vector`: exact, and scored by the database server.

There is no approximate index, because it finds too few vectors of one owner among the many of all owners. An ordinary
index finds the owner's vectors, and each of them is compared.
"""

import asyncio
from collections.abc import Collection, Sequence
from functools import partial
from struct import unpack

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from domain.documents import Hit, Index, PieceKey, Vector
from stores.sql.engine.database import Database
from stores.sql.engine.failures import reason_of
from stores.sql.engine.schema import SchemaError
from stores.sql.rows import AnyRow

_LOCK = 0x56_65_63_74_6F_72  # any number that no other program uses: "Vector"
_BATCH = 200
"""Vectors per insert: preparing them blocks the event loop."""
_DROPPED_AT_ONCE = 5_000
_OTHER_LENGTH = "the question's vector does not have the length that the index has"

_PREPARED = text(
    "SELECT to_regclass('document_vectors') IS NOT NULL "
    "AND EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'vector')"
)
_PREPARE = (
    "CREATE EXTENSION IF NOT EXISTS vector",
    "CREATE TABLE IF NOT EXISTS document_vectors ("
    "document_id varchar(32) NOT NULL REFERENCES documents (id) ON DELETE CASCADE, owner varchar(200) NOT NULL, "
    "model varchar(200) NOT NULL, dimension integer NOT NULL, number integer NOT NULL, vector vector NOT NULL, "
    "PRIMARY KEY (document_id, model, dimension, number))",
    "CREATE INDEX IF NOT EXISTS document_vectors_owner ON document_vectors (owner, model, dimension)",
)
_REFUSED = {
    "42501": "The user of DATABASE_URL may not prepare it for vectors. Let its administrator run: CREATE EXTENSION "
    "vector; and grant the user CREATE on the schema.",
    "58P01": "PostgreSQL does not have the extension `vector`. Install pgvector there, or set VECTOR_STORE_TYPE.",
    "0A000": "PostgreSQL does not have the extension `vector`. Install pgvector there, or set VECTOR_STORE_TYPE.",
}

_THERE = text("SELECT 1 FROM documents WHERE id = :document AND owner = :owner FOR KEY SHARE")
_ADD = text(
    "INSERT INTO document_vectors (document_id, owner, model, dimension, number, vector) VALUES "
    "(:document, :owner, :model, :dimension, :number, CAST(CAST(:vector AS real[]) AS vector)) "
    "ON CONFLICT (document_id, model, dimension, number) DO UPDATE SET vector = excluded.vector"
)
_SCORED = (
    "SELECT document_id, number, -(vector <#> question) AS score "
    "FROM document_vectors, (SELECT CAST(CAST(:vector AS real[]) AS vector) AS question) AS asked "
    "WHERE owner = :owner AND model = :model AND dimension = :dimension {only} "
)
_SEARCH = f"{_SCORED}ORDER BY score DESC, document_id, number LIMIT :most"
_ALL = text(_SEARCH.format(only=""))
_ONLY = text(_SEARCH.format(only="AND document_id = ANY(CAST(:ids AS text[]))"))
_THESE = text(
    _SCORED.format(
        only="AND (document_id, number) IN (SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:numbers AS integer[])))"
    )
)
_DELETE = text("DELETE FROM document_vectors WHERE document_id = :document AND owner = :owner")
_DROP = text(
    "DELETE FROM document_vectors WHERE ctid = ANY(ARRAY(SELECT ctid FROM document_vectors "
    "WHERE model = :model AND dimension = :dimension LIMIT :most))"
)


class PgVectors:
    """A vector store in PostgreSQL, in the given database. Its table is created on first use."""

    def __init__(self, database: Database) -> None:
        if database.dialect != "postgresql":
            raise ValueError("these vectors are kept in PostgreSQL only")
        self._database = database
        self._preparing = asyncio.Lock()
        self._prepared = False

    async def prepare(self) -> None:
        """Create the extension and the table if necessary; raises `SchemaError` if that is not possible."""
        async with self._preparing:
            if self._prepared:
                return
            try:
                if not await self._database.read(lambda connection: connection.scalar(_PREPARED)):
                    await self._database.write(_prepare)
            except DBAPIError as error:
                if sentence := _REFUSED.get(reason_of(error)):
                    raise SchemaError(sentence) from error
                raise
            self._prepared = True

    async def add(
        self, index: Index, owner: str, document_id: str, vectors: Sequence[Vector], *, first: int = 0
    ) -> None:
        """Store the vectors of pieces, unless the document no longer exists."""
        if any(len(vector) != 4 * index.dimension for vector in vectors):
            raise ValueError("a vector does not have the length that its index has")
        await self.prepare()
        values = {"document": document_id, "owner": owner, "model": index.model, "dimension": index.dimension}

        def add(connection: Connection) -> None:
            if connection.execute(_THERE, {"document": document_id, "owner": owner}).first() is None:
                return
            for start in range(0, len(vectors), _BATCH):
                batch = enumerate(vectors[start : start + _BATCH], first + start)
                connection.execute(_ADD, [values | {"number": at, "vector": _numbers(vector)} for at, vector in batch])

        await self._database.write(add)

    async def search(
        self, index: Index, owner: str, vector: Vector, *, document_ids: Collection[str] | None, limit: int
    ) -> list[Hit]:
        """The owner's nearest pieces; every one is compared."""
        if len(vector) != 4 * index.dimension:
            raise ValueError(_OTHER_LENGTH)
        if limit < 1 or (document_ids is not None and not document_ids):
            return []
        await self.prepare()
        values = {
            "owner": owner, "model": index.model, "dimension": index.dimension, "vector": _numbers(vector),
            "most": limit,
        }  # fmt: skip
        if document_ids is not None:
            values["ids"] = list(document_ids)
        query = _ALL if document_ids is None else _ONLY
        rows = await self._database.read(lambda connection: connection.execute(query, values).all())
        return [_hit(row) for row in rows]

    async def scores(
        self, index: Index, owner: str, vector: Vector, keys: Collection[PieceKey]
    ) -> dict[PieceKey, float]:
        if len(vector) != 4 * index.dimension:
            raise ValueError(_OTHER_LENGTH)
        if not keys:
            return {}
        await self.prepare()
        values = {
            "owner": owner, "model": index.model, "dimension": index.dimension, "vector": _numbers(vector),
            "ids": [key.document_id for key in keys], "numbers": [key.number for key in keys],
        }  # fmt: skip
        rows = await self._database.read(lambda connection: connection.execute(_THESE, values).all())
        return {hit.key: hit.score for hit in map(_hit, rows)}

    async def delete(self, owner: str, document_id: str) -> None:
        """Delete the document's vectors. Deleting the document deletes them, too."""
        await self.prepare()
        values = {"document": document_id, "owner": owner}
        await self._database.write(lambda connection: connection.execute(_DELETE, values))

    async def drop(self, index: Index) -> None:
        """Delete a whole index, a part at a time."""
        await self.prepare()
        values = {"model": index.model, "dimension": index.dimension, "most": _DROPPED_AT_ONCE}
        while await self._database.write(partial(_dropped, values=values)) > 0:
            pass

    async def close(self) -> None:
        """Does nothing: the caller that opened the database closes it."""


def _prepare(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    for statement in _PREPARE:
        connection.execute(text(statement))


def _dropped(connection: Connection, values: dict[str, object]) -> int:
    return connection.execute(_DROP, values).rowcount


def _hit(row: AnyRow) -> Hit:
    return Hit(PieceKey(row.document_id, row.number), min(max(row.score, -1.0), 1.0))


def _numbers(vector: Vector) -> list[float]:
    return list(unpack(f"<{len(vector) // 4}f", vector))
