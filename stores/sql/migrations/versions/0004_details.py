"""A sentence that says more precisely why a document failed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """From 0003: documents that have already failed have none."""
    op.add_column("documents", sa.Column("detail", sa.String(300)))
