"""The tables. Times are in seconds since the Unix epoch; ids are 32 hexadecimal characters, keys' ids fewer.

A change here needs a migration in `stores/sql/migrations/versions`; a test compares the two. The tables of documents
are in `stores.sql.documents.tables`.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
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

metadata = MetaData()


def number() -> BigInteger:
    """The type of a primary key that numbers rows. SQLite only assigns it automatically if it is an INTEGER."""
    return BigInteger().with_variant(Integer, "sqlite")


def id_column(name: str, *, null: bool = True) -> Column[str]:
    """A column with an id of this or another table."""
    return Column(name, String(32), nullable=null)


def owner_column() -> Column[str]:
    """The column with the id of the caller who owns the row."""
    return Column("owner", String(200), nullable=False)


api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    owner_column(),
    Column("name", String(200), nullable=False),
    Column("prefix", String(32), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double),
    Column("revoked", Double),
    Column("last_used", Double),
    Column("parent", String(32)),  # the key that it was made with
    Index("api_keys_owner", "owner", "created", "id"),
    Index("api_keys_parent", "parent"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(32), primary_key=True),
    owner_column(),
    Column("client_id", String(200)),
    Column("title", String(200)),
    Column("auto_title", Boolean, nullable=False),  # false once a person has set a title
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
    id_column("root_id"),  # the active first message
    id_column("leaf_id"),  # the last message of the active branch
    id_column("prior_leaf_id"),  # `leaf_id` and `updated` before the newest answer was begun
    Column("prior_updated", Double),
    Index("sessions_updated", "owner", "updated", "id"),
    Index(
        "sessions_client_id",
        "owner",
        "client_id",
        unique=True,
        sqlite_where=text("client_id IS NOT NULL"),
        postgresql_where=text("client_id IS NOT NULL"),
    ),
)

messages = Table(
    "messages",
    metadata,
    Column("seq", number(), Identity(), primary_key=True),  # the order in which they were inserted
    Column("id", String(32), nullable=False, unique=True),
    Column("session_id", String(32), ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    owner_column(),
    id_column("parent_id"),
    id_column("active_child_id"),
    Column("undo", JSON(none_as_null=True)),  # what a new branch changed: see stores/sql/conversations/branches.py
    Column("depth", Integer, nullable=False),
    Column("role", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("created", Double, nullable=False),
    Column("client_id", String(200)),
    id_column("summary_id"),
    id_column("stream_id"),
    Column("model", String(200)),
    Column("finish_reason", String(32)),
    Column("code", String(50)),
    Column("spent", JSON(none_as_null=True)),
    Column("sources", JSON(none_as_null=True)),
    Column("first_word_ms", Integer),
    Column("total_ms", Integer),
    Column("idempotency_key", String(255)),
    Column("alive", Double),  # when its producer was last known to run
    Index("messages_parent", "parent_id"),
    Index(
        "messages_first",
        "session_id",
        "parent_id",
        sqlite_where=text("parent_id IS NULL"),
        postgresql_where=text("parent_id IS NULL"),
    ),
    Index("messages_seq", "session_id", "seq"),
    Index("messages_owner", "owner", "seq"),
    Index("messages_stream", "stream_id"),
    Index(
        "messages_running",
        "session_id",
        unique=True,
        sqlite_where=text("state = 'running'"),
        postgresql_where=text("state = 'running'"),
    ),
    Index(
        "messages_client_id",
        "owner",
        "client_id",
        unique=True,
        sqlite_where=text("client_id IS NOT NULL"),
        postgresql_where=text("client_id IS NOT NULL"),
    ),
    Index(
        "messages_key",
        "owner",
        "idempotency_key",
        unique=True,
        sqlite_where=text("state = 'running' AND idempotency_key IS NOT NULL"),
        postgresql_where=text("state = 'running' AND idempotency_key IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

summaries = Table(
    "summaries",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("session_id", String(32), ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    id_column("message_id", null=False),
    Column("depth", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("model", String(200), nullable=False),
    Column("created", Double, nullable=False),
    Index("summaries_session", "session_id"),
)

usage = Table(
    "usage",
    metadata,
    Column("id", number(), Identity(), primary_key=True),
    owner_column(),
    id_column("key_id"),
    Column("stream_id", String(32), nullable=False, unique=True),
    id_column("session_id"),  # null once its session is deleted; usage is kept
    Column("model", String(200), nullable=False),
    Column("state", String(16), nullable=False),
    Column("day", String(10), nullable=False),  # 2026-01-31, in UTC
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("exact", Boolean, nullable=False),
    Column("cost", BigInteger),  # in ten-thousand-millionths of the currency: sums are exact on either database
    Column("currency", String(8)),
    Column("created", Double, nullable=False),
    Index("usage_owner_day", "owner", "day"),
    Index("usage_day", "day"),
    Index("usage_session", "session_id"),
)
