"""In SQLite, counts how often an owner's vectors were deleted; a process that caches vectors checks the count."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """From 0002: a trigger counts; deletions by a foreign key fire it, too."""
    if op.get_context().dialect.name == "postgresql":  # there the database itself searches
        return
    op.create_table(
        "document_vectors_gone",
        sa.Column("owner", sa.String(200), primary_key=True),
        sa.Column("times", sa.Integer, nullable=False),
    )
    op.execute(
        "CREATE TRIGGER document_vectors_went AFTER DELETE ON document_vectors BEGIN "
        "INSERT INTO document_vectors_gone (owner, times) VALUES (old.owner, 1) "
        "ON CONFLICT (owner) DO UPDATE SET times = times + 1; END"
    )
