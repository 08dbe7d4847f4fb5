"""How many bytes of text were made of a document, so that its owner's can be summed without reading them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """From 0006: counts the pieces of all documents, which reads each of them once."""
    op.add_column("documents", sa.Column("text_size", sa.Integer))
    size = "octet_length(text)" if op.get_context().dialect.name == "postgresql" else "length(CAST(text AS BLOB))"
    op.execute(
        f"UPDATE documents SET text_size = (SELECT sum({size}) FROM document_chunks "  # noqa: S608 - all of it is ours
        "WHERE document_id = documents.id) WHERE state = 'ready'"
    )
