"""On PostgreSQL, splits numbers, paths and addresses, which its parser takes as one word each, into words."""

from string import punctuation

from alembic import op

revision = "0005"
down_revision = "0004"

_OTHERS = "\u00a0\u00ab\u00b7\u00bb\u2010\u2011\u2012\u2013\u2014\u2018\u2019\u201a\u201c\u201d\u201e\u2022\u2026\u2212"
"""Common punctuation beyond ASCII, which a database with the locale C treats as letters."""


def upgrade() -> None:
    """From 0004: punctuation separates words, as in queries and in SQLite. Rebuilds the index of all pieces."""
    if op.get_context().dialect.name != "postgresql":
        return
    unicode = op.get_bind().exec_driver_sql("SHOW server_encoding").scalar_one() == "UTF8"
    signs = punctuation + (_OTHERS if unicode else "")
    said = "coalesce(left(heading, 1000), '') || ' ' || left(text, 200000)"
    quoted = signs.replace("'", "''")
    said = f"translate({said}, '{quoted}', '{' ' * len(signs)}')"
    op.execute("ALTER TABLE document_chunks DROP COLUMN document_words")  # and its index with it
    op.execute(
        "ALTER TABLE document_chunks ADD COLUMN document_words tsvector "
        f"GENERATED ALWAYS AS (to_tsvector('english', {said})) STORED"
    )
    op.execute(
        "CREATE INDEX document_words ON document_chunks USING gin (document_words) WITH (gin_pending_list_limit = 256)"
    )
