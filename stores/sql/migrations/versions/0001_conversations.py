"""Keys, sessions, messages, summaries and usage, and a word index of messages."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """From an empty database."""
    _keys()
    _sessions()
    _messages()
    _summaries()
    _usage()
    if op.get_context().dialect.name == "postgresql":
        # An index entry must be smaller than a megabyte; a message may be larger.
        op.execute("CREATE INDEX messages_words ON messages USING gin (to_tsvector('simple', left(text, 200000)))")
    elif _has_fts5():
        _words()


def _keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("prefix", sa.String(32), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("expires", sa.Double),
        sa.Column("revoked", sa.Double),
        sa.Column("last_used", sa.Double),
    )
    op.create_index("api_keys_owner", "api_keys", ["owner", "created", "id"])


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("client_id", sa.String(200)),
        sa.Column("title", sa.String(200)),
        sa.Column("auto_title", sa.Boolean, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("updated", sa.Double, nullable=False),
        sa.Column("root_id", sa.String(32)),
        sa.Column("leaf_id", sa.String(32)),
        sa.Column("prior_leaf_id", sa.String(32)),
        sa.Column("prior_updated", sa.Double),
    )
    op.create_index("sessions_updated", "sessions", ["owner", "updated", "id"])
    _partial("sessions_client_id", "sessions", ["owner", "client_id"], "client_id IS NOT NULL")


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("seq", NUMBER, sa.Identity(), primary_key=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("session_id", sa.String(32), sa.ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("parent_id", sa.String(32)),
        sa.Column("active_child_id", sa.String(32)),
        sa.Column("undo", sa.JSON),
        sa.Column("depth", sa.Integer, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("tokens", sa.Integer, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("client_id", sa.String(200)),
        sa.Column("summary_id", sa.String(32)),
        sa.Column("stream_id", sa.String(32)),
        sa.Column("model", sa.String(200)),
        sa.Column("finish_reason", sa.String(32)),
        sa.Column("code", sa.String(50)),
        sa.Column("spent", sa.JSON),
        sa.Column("first_word_ms", sa.Integer),
        sa.Column("total_ms", sa.Integer),
        sa.Column("idempotency_key", sa.String(255)),
        sa.Column("alive", sa.Double),
        sqlite_autoincrement=True,
    )
    op.create_index("messages_parent", "messages", ["parent_id"])
    _partial("messages_first", "messages", ["session_id", "parent_id"], "parent_id IS NULL", unique=False)
    op.create_index("messages_seq", "messages", ["session_id", "seq"])
    op.create_index("messages_owner", "messages", ["owner", "seq"])
    op.create_index("messages_stream", "messages", ["stream_id"])
    running = "state = 'running'"
    _partial("messages_running", "messages", ["session_id"], running)
    _partial("messages_client_id", "messages", ["owner", "client_id"], "client_id IS NOT NULL")
    _partial("messages_key", "messages", ["owner", "idempotency_key"], f"{running} AND idempotency_key IS NOT NULL")


def _summaries() -> None:
    op.create_table(
        "summaries",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("session_id", sa.String(32), sa.ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
        sa.Column("message_id", sa.String(32), nullable=False),
        sa.Column("depth", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("tokens", sa.Integer, nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
    )
    op.create_index("summaries_session", "summaries", ["session_id"])


def _usage() -> None:
    op.create_table(
        "usage",
        sa.Column("id", NUMBER, sa.Identity(), primary_key=True),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("key_id", sa.String(32)),
        sa.Column("stream_id", sa.String(32), nullable=False, unique=True),
        sa.Column("session_id", sa.String(32)),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("cached_tokens", sa.BigInteger),
        sa.Column("reasoning_tokens", sa.BigInteger),
        sa.Column("exact", sa.Boolean, nullable=False),
        sa.Column("cost", sa.BigInteger),
        sa.Column("currency", sa.String(8)),
        sa.Column("created", sa.Double, nullable=False),
    )
    op.create_index("usage_owner_day", "usage", ["owner", "day"])
    op.create_index("usage_day", "usage", ["day"])
    op.create_index("usage_session", "usage", ["session_id"])


def _partial(name: str, table: str, columns: list[str], where: str, *, unique: bool = True) -> None:
    clause = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=clause, postgresql_where=clause)


def _has_fts5() -> bool:
    return bool(op.get_bind().scalar(sa.text("SELECT sqlite_compileoption_used('ENABLE_FTS5')")))


def _words() -> None:
    """Triggers keep the index up to date; it stores no text itself. Unfinished answers are not in it."""
    op.execute(
        "CREATE VIRTUAL TABLE messages_words USING fts5"
        "(text, content='messages', content_rowid='seq', tokenize='unicode61 remove_diacritics 0')"
    )
    add = "INSERT INTO messages_words (rowid, text) VALUES (new.seq, new.text);"
    remove = "INSERT INTO messages_words (messages_words, rowid, text) VALUES ('delete', old.seq, old.text);"
    for name, event, then in (
        ("added", "INSERT ON messages WHEN new.text <> ''", add),
        ("gone", "DELETE ON messages WHEN old.text <> ''", remove),
        ("written", "UPDATE OF text ON messages WHEN old.text = '' AND new.text <> ''", add),
    ):
        op.execute(f"CREATE TRIGGER messages_words_{name} AFTER {event} BEGIN {then} END")
