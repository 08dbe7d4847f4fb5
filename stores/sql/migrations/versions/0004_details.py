"""What more there is to say of why a document failed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """From 0003: of those that have failed there is no more to say."""
    op.add_column("documents", sa.Column("detail", sa.String(300)))
