"""The tables. Moments are in seconds since the Unix epoch; ids are 32 hexadecimal characters, keys' are shorter.

A change here is a migration in `stores/sql/migrations/versions`; a test compares the two.
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

_NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself where the key is an INTEGER."""


def _id(name: str, *, null: bool = True) -> Column[str]:
    return Column(name, String(32), nullable=null)


def _owner() -> Column[str]:
    return Column("owner", String(200), nullable=False)


api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(32), primary_key=True),
    _owner(),
    Column("name", String(200), nullable=False),
    Column("prefix", String(32), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double),
    Column("revoked", Double),
    Column("last_used", Double),
    Index("api_keys_owner", "owner", "created", "id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(32), primary_key=True),
    _owner(),
    Column("client_id", String(200)),
    Column("title", String(200)),
    Column("auto_title", Boolean, nullable=False),  # until a person has set one
    Column("created", Double, nullable=False),
    Column("updated", Double, nullable=False),
    _id("root_id"),  # the active first message
    _id("leaf_id"),  # the last message of the active branch
    _id("prior_leaf_id"),  # what this and `updated` were before the newest answer was begun
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
    Column("seq", _NUMBER, Identity(), primary_key=True),  # the order in which they came
    Column("id", String(32), nullable=False, unique=True),
    Column("session_id", String(32), ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    _owner(),
    _id("parent_id"),
    _id("active_child_id"),
    Column("undo", JSON(none_as_null=True)),  # what a new branch changed: see stores/sql/branches.py
    Column("depth", Integer, nullable=False),
    Column("role", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("created", Double, nullable=False),
    Column("client_id", String(200)),
    _id("summary_id"),
    _id("stream_id"),
    Column("model", String(200)),
    Column("finish_reason", String(32)),
    Column("code", String(50)),
    Column("spent", JSON(none_as_null=True)),
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
    _id("message_id", null=False),
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
    Column("id", _NUMBER, Identity(), primary_key=True),
    _owner(),
    _id("key_id"),
    Column("stream_id", String(32), nullable=False, unique=True),
    _id("session_id"),  # what was used stays when its session goes
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
