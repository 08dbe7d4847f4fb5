"""The tables of documents; see `stores.sql.tables`. Deleting a document's row deletes everything that belongs to it.

Columns that are read often come before texts and bytes, so that SQLite need not read those.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

from stores.sql.tables import id_column, metadata, number, owner_column

sqlite_only = MetaData()

_UNFINISHED = text("state NOT IN ('ready', 'failed')")


def _document(*, primary: bool = False) -> Column[str]:
    key = ForeignKey("documents.id", ondelete="CASCADE")
    return Column("document_id", String(32), key, primary_key=primary, nullable=False)


documents = Table(
    "documents",
    metadata,
    Column("id", String(32), primary_key=True),
    owner_column(),
    Column("name", String(255), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
    Column("media_type", String(200)),
    Column("title", String(255)),
    Column("pages", Integer),
    Column("chunks", Integer),
    Column("code", String(50)),
    Column("detail", String(300)),
    id_column("stream_id"),
    Column("worker", String(200)),  # which worker has it, and until when
    Column("lease", Double),
    Column("attempts", Integer, nullable=False),
    Column("text_size", Integer),  # bytes of its pieces, from the moment that they are known
    Index("documents_created", "owner", "created", "id"),
    Index("documents_digest", "owner", "digest", unique=True),
    Index("documents_unfinished", "owner", "state", sqlite_where=_UNFINISHED, postgresql_where=_UNFINISHED),
)

contents = Table(
    "document_contents",
    metadata,
    _document(primary=True),
    Column("content", LargeBinary, nullable=False),
)

collections = Table(
    "document_collections",
    metadata,
    _document(primary=True),
    Column("name", String(255), primary_key=True),
    owner_column(),
    Index("document_collections_name", "owner", "name", "document_id"),
)

chunks = Table(
    "document_chunks",
    metadata,
    Column("seq", number(), Identity(), primary_key=True),
    _document(),
    owner_column(),
    Column("number", Integer, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("page", Integer),
    Column("heading", Text),
    Column("text", Text, nullable=False),
    Index("document_chunks_number", "document_id", "number", unique=True),
    Index("document_chunks_owner", "owner"),
    sqlite_autoincrement=True,
)

vector_index = Table(
    "vector_index",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True, autoincrement=False),  # there is only one row
    Column("model", String(200), nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("updated", Double, nullable=False),
)

indexed = Table(
    "document_indexes",  # which documents' vectors each index holds completely
    metadata,
    _document(primary=True),
    Column("model", String(200), primary_key=True),
    Column("dimension", Integer, primary_key=True, autoincrement=False),
    Index("document_indexes_model", "model", "dimension"),
)

vectors = Table(
    "document_vectors",
    sqlite_only,
    Column("seq", Integer, primary_key=True),  # never reused, so that changes can be detected from it
    Column("document_id", String(32), ForeignKey(documents.c.id, ondelete="CASCADE"), nullable=False),
    owner_column(),
    Column("model", String(200), nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    Index("document_vectors_number", "document_id", "model", "dimension", "number", unique=True),
    Index("document_vectors_owner", "owner", "model", "dimension"),
    sqlite_autoincrement=True,
)

vectors_gone = Table(
    "document_vectors_gone",  # counts deleted vectors; maintained by a trigger
    sqlite_only,
    Column("owner", String(200), primary_key=True),
    Column("times", Integer, nullable=False),
)
