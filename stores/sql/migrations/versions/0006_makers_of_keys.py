"""The key that a key was made with, so that both can be revoked together."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """From 0005: of the keys that there are, nobody knows any more what made them."""
    op.add_column("api_keys", sa.Column("parent", sa.String(32)))
    op.create_index("api_keys_parent", "api_keys", ["parent"])
