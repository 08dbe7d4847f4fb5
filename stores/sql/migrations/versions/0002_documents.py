"""Documents, the pieces they are cut into, a word index of the pieces and, in SQLite, the pieces' vectors."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """From 0001: existing rows are left as they are."""
    op.add_column("messages", sa.Column("sources", sa.JSON))
    _documents()
    _chunks()
    op.create_table(
        "vector_index",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("dimension", sa.Integer, nullable=False),
        sa.Column("updated", sa.Double, nullable=False),
    )
    op.create_table(
        "document_indexes",
        _document(primary=True),
        sa.Column("model", sa.String(200), primary_key=True),
        sa.Column("dimension", sa.Integer, primary_key=True, autoincrement=False),
    )
    op.create_index("document_indexes_model", "document_indexes", ["model", "dimension"])
    if op.get_context().dialect.name == "postgresql":
        _words_in_postgresql()
        return
    _vectors()
    if op.get_bind().scalar(sa.text("SELECT sqlite_compileoption_used('ENABLE_FTS5')")):
        _words()


def _document(*, primary: bool = False) -> sa.Column[str]:
    key = sa.ForeignKey("documents.id", ondelete="CASCADE")
    return sa.Column("document_id", sa.String(32), key, primary_key=primary, nullable=False)


def _documents() -> None:
    op.create_table(
        "documents",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("updated", sa.Double, nullable=False),
        sa.Column("media_type", sa.String(200)),
        sa.Column("title", sa.String(255)),
        sa.Column("pages", sa.Integer),
        sa.Column("chunks", sa.Integer),
        sa.Column("code", sa.String(50)),
        sa.Column("stream_id", sa.String(32)),
        sa.Column("worker", sa.String(200)),
        sa.Column("lease", sa.Double),
        sa.Column("attempts", sa.Integer, nullable=False),
    )
    op.create_index("documents_created", "documents", ["owner", "created", "id"])
    op.create_index("documents_digest", "documents", ["owner", "digest"], unique=True)
    unfinished = sa.text("state NOT IN ('ready', 'failed')")
    op.create_index(
        "documents_unfinished",
        "documents",
        ["owner", "state"],
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )
    op.create_table("document_contents", _document(primary=True), sa.Column("content", sa.LargeBinary, nullable=False))
    op.create_table(
        "document_collections",
        _document(primary=True),
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("owner", sa.String(200), nullable=False),
    )
    op.create_index("document_collections_name", "document_collections", ["owner", "name", "document_id"])


def _chunks() -> None:
    op.create_table(
        "document_chunks",
        sa.Column("seq", NUMBER, sa.Identity(), primary_key=True),
        _document(),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("start", sa.Integer, nullable=False),
        sa.Column("end", sa.Integer, nullable=False),
        sa.Column("page", sa.Integer),
        sa.Column("heading", sa.Text),
        sa.Column("text", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("document_chunks_number", "document_chunks", ["document_id", "number"], unique=True)
    op.create_index("document_chunks_owner", "document_chunks", ["owner"])


def _vectors() -> None:
    op.create_table(
        "document_vectors",
        sa.Column("seq", sa.Integer, primary_key=True),
        _document(),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("dimension", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    key = ["document_id", "model", "dimension", "number"]
    op.create_index("document_vectors_number", "document_vectors", key, unique=True)
    op.create_index("document_vectors_owner", "document_vectors", ["owner", "model", "dimension"])


def _words_in_postgresql() -> None:
    """The words are kept in the row, because ranking reads them. An index entry must be smaller than a megabyte.

    Every search scans the list of entries that are not yet sorted in, so that list is kept short (kilobytes).
    """
    said = "coalesce(left(heading, 1000), '') || ' ' || left(text, 200000)"
    op.execute(
        "ALTER TABLE document_chunks ADD COLUMN document_words tsvector "
        f"GENERATED ALWAYS AS (to_tsvector('english', {said})) STORED"
    )
    op.execute(
        "CREATE INDEX document_words ON document_chunks USING gin (document_words) WITH (gin_pending_list_limit = 256)"
    )


def _words() -> None:
    """Triggers keep the index up to date; it stores no text itself. It contains the owner, so that a search does not
    look at other owners' rows."""
    op.execute(
        "CREATE VIRTUAL TABLE document_words USING fts5(owner, heading, text, content='document_chunks', "
        "content_rowid='seq', tokenize='porter unicode61 remove_diacritics 2')"
    )
    add = "INSERT INTO document_words (rowid, owner, heading, text) VALUES (new.seq, new.owner, new.heading, new.text);"
    remove = (
        "INSERT INTO document_words (document_words, rowid, owner, heading, text) "
        "VALUES ('delete', old.seq, old.owner, old.heading, old.text);"
    )
    for name, event, then in (("added", "INSERT", add), ("gone", "DELETE", remove)):
        op.execute(f"CREATE TRIGGER document_words_{name} AFTER {event} ON document_chunks BEGIN {then} END")
