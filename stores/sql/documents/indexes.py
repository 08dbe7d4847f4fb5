"""Vector indexes: which one is in use, and which documents each of them holds completely.

A document is only ready if its vectors are in the index in use. So a transaction that makes a document ready and one
that switches the index must exclude each other. On SQLite any two writers do; on PostgreSQL both lock the index's row.
"""

from sqlalchemy import Connection, bindparam, delete, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from domain.documents import Document, Index
from stores.sql.documents import records
from stores.sql.documents.records import DOCUMENT
from stores.sql.documents.tables import documents, indexed, vector_index

_KEPT = select(vector_index.c.model, vector_index.c.dimension)
_HELD = _KEPT.with_for_update(read=True)
_MOVED = _KEPT.with_for_update()
_SWITCH = update(vector_index).values(
    model=bindparam("new_model"), dimension=bindparam("new_dimension"), updated=bindparam("moment")
)
_THERE = (
    select(documents.c.id).where(documents.c.id == bindparam("document")).with_for_update(read=True, key_share=True)
)
_THIS = (indexed.c.model == bindparam("model_"), indexed.c.dimension == bindparam("dimension_"))
_LACKING = (documents.c.state == "ready", ~exists().where(indexed.c.document_id == documents.c.id, *_THIS))
_NEXT = select(*DOCUMENT).where(*_LACKING).order_by(documents.c.id).limit(bindparam("most"))
_LEFT = select(func.count(), func.coalesce(func.sum(documents.c.chunks), 0)).where(*_LACKING)
_OTHERS = select(indexed.c.model, indexed.c.dimension).distinct().where(~(_THIS[0] & _THIS[1]))
_FORGET = delete(indexed).where(*_THIS)


def index(connection: Connection) -> Index | None:
    """The index in use."""
    row = connection.execute(_KEPT).one_or_none()
    return Index(*row) if row is not None else None


def hold(connection: Connection) -> Index | None:
    """The index in use, locked until this transaction ends."""
    row = connection.execute(_HELD).one_or_none()
    return Index(*row) if row is not None else None


def note(connection: Connection, document_id: str, into: Index) -> bool:
    """Record that the index holds the document; false if the document does not exist."""
    there = connection.execute(_THERE, {"document": document_id}).first() is not None
    if there:
        insertion = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        values = {"document_id": document_id, "model": into.model, "dimension": into.dimension}
        connection.execute(insertion(indexed).on_conflict_do_nothing(), values)
    return there


def lacking(connection: Connection, into: Index, limit: int) -> list[Document]:
    """Up to `limit` ready documents of all owners, ordered by id, that the index does not hold."""
    return records.with_collections(connection, connection.execute(_NEXT, _values(into) | {"most": limit}).all())


def left(connection: Connection, into: Index) -> tuple[int, int]:
    """How many documents the index lacks, and how many pieces they have."""
    count, pieces = connection.execute(_LEFT, _values(into)).one()
    return count, pieces


def switch(connection: Connection, to: Index, now: float) -> bool:
    """Replace the index in use, if there is one, by this one; false if it lacks a ready document."""
    connection.execute(_MOVED)
    if left(connection, to)[0]:
        return False
    connection.execute(_SWITCH, {"new_model": to.model, "new_dimension": to.dimension, "moment": now})
    return True


def others(connection: Connection, than: Index) -> list[Index]:
    """All other indexes that hold documents."""
    return [Index(*row) for row in connection.execute(_OTHERS, _values(than))]


def forget(connection: Connection, gone: Index) -> None:
    """Record that the index no longer holds anything."""
    connection.execute(_FORGET, _values(gone))


def _values(of: Index) -> dict[str, str | int]:
    return {"model_": of.model, "dimension_": of.dimension}
