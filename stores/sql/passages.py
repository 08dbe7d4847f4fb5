"""Pieces of documents as they are asked for, and the index of vectors that answers."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, Integer, String, bindparam, column, func, or_, select, update, values

from domain.documents import Chunk, Document, Index, Key, Passage
from stores.sql import shelf
from stores.sql.document_tables import chunks, collections, documents, vector_index
from stores.sql.ingestion import CHUNK
from stores.sql.rows import among
from stores.sql.shelf import DOCUMENT

_READY = documents.c.state == "ready"
_CHUNKS = (
    select(*CHUNK)
    .where(chunks.c.document_id == bindparam("document"), chunks.c.owner == bindparam("owner_"))
    .order_by(chunks.c.number)
)
_KEPT = select(vector_index.c.model, vector_index.c.dimension)
_SWITCH = update(vector_index).values(
    model=bindparam("new_model"), dimension=bindparam("new_dimension"), updated=bindparam("moment")
)


def selected(
    connection: Connection, owner: str, ids: Collection[str] | None, names: Collection[str] | None
) -> list[str]:
    """The owner's ready documents that have one of the ids, or are in one of the collections."""
    dialect = connection.dialect.name
    inside = select(collections.c.document_id).where(
        collections.c.owner == owner, among(collections.c.name, names or (), dialect)
    )
    meant = or_(among(documents.c.id, ids or (), dialect), documents.c.id.in_(inside))
    query = select(documents.c.id).where(documents.c.owner == owner, _READY, meant).order_by(documents.c.id)
    return list(connection.execute(query).scalars())


def passages(connection: Connection, owner: str, keys: Sequence[Key]) -> list[Passage]:
    """Those of the owner's pieces that exist, in the order of the keys."""
    if not keys:
        return []
    pairs = [(key.document_id, key.number) for key in keys]
    asked = values(column("id", String), column("number", Integer)).data(pairs).cte("asked")
    title = func.coalesce(documents.c.title, documents.c.name)
    query = (
        select(chunks.c.document_id, chunks.c.number, title, chunks.c.text, chunks.c.page, chunks.c.heading)
        .join(asked, (chunks.c.document_id == asked.c.id) & (chunks.c.number == asked.c.number))
        .join(documents, documents.c.id == chunks.c.document_id)
        .where(documents.c.owner == owner, _READY)
    )
    found = {Key(row[0], row[1]): row for row in connection.execute(query)}
    return [Passage(key, *found[key][2:]) for key in keys if key in found]


def pieces(connection: Connection, owner: str, document_id: str) -> list[Chunk]:
    """All pieces of a document, in order."""
    return [Chunk(*row) for row in connection.execute(_CHUNKS, shelf.mine(owner, document_id))]


def ready(connection: Connection, done: str | None, limit: int) -> list[Document]:
    """Everybody's ready documents by id, after the one that is done."""
    query = select(*DOCUMENT).where(_READY).order_by(documents.c.id).limit(limit)
    if done is not None:
        query = query.where(documents.c.id > done)
    return shelf.with_collections(connection, connection.execute(query).all())


def index(connection: Connection) -> Index | None:
    """The one that answers."""
    row = connection.execute(_KEPT).one_or_none()
    return Index(*row) if row is not None else None


def switch(connection: Connection, to: Index, now: float) -> None:
    """Let another one answer, where one does."""
    connection.execute(_SWITCH, {"new_model": to.model, "new_dimension": to.dimension, "moment": now})
