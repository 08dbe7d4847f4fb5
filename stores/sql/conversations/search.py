"""Full-text search in an owner's messages.

A word of letters and digits is looked up as a whole in the word index. Anything else, and words of scripts without
spaces between words, are searched for anywhere in the text, which takes time proportional to the owner's messages.
"""

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, column, func, literal_column, select, table, text

from domain.messages import Found, Page
from stores.sql.rows import LEAN_MESSAGE, message, page, seq_of
from stores.sql.tables import messages, sessions

MAX_WORDS = 16
_AROUND = 80
"""Characters that a snippet shows before and after the match."""

_INDEXED = re.compile(r"[^\W_\u0e00-\u109f\u1780-\u17ff\u2e80-\U0003ffff]+")
_HAS_INDEX = text("SELECT count(*) FROM sqlite_master WHERE name = 'messages_words'")
_WORDS = table("messages_words", column("rowid"))
_VECTOR: ColumnElement[Any] = literal_column("to_tsvector('simple', left(messages.text, 200000))")


@dataclass(frozen=True, slots=True)
class MessageSearch:
    """A search in one owner's messages: at most `limit` of them, after the cursor `after`."""

    owner: str
    words: str
    after: str | None
    limit: int
    dialect: str


def search(connection: Connection, asked: MessageSearch) -> Page[Found]:
    """A page of the messages that contain all the words, newest first; empty if there are none."""
    after = seq_of(asked.after)
    words = asked.words.split()[:MAX_WORDS]
    if not words:
        return Page([], None)
    query = (
        select(*LEAN_MESSAGE, messages.c.seq, sessions.c.title)
        .join(sessions, sessions.c.id == messages.c.session_id)
        .where(messages.c.owner == asked.owner, *_conditions(connection, words, asked.dialect))
        .order_by(messages.c.seq.desc())
        .limit(asked.limit + 1)
    )
    if after is not None:
        query = query.where(messages.c.seq < after)
    rows = connection.execute(query).all()
    return page(
        rows,
        asked.limit,
        lambda row: Found(message(row), row.title, snippet(row.text, words)),
        lambda row: str(row.seq),
    )


def _conditions(connection: Connection, words: list[str], dialect: str) -> list[ColumnElement[bool]]:
    whole = [word for word in words if _INDEXED.fullmatch(word)]
    if dialect == "sqlite" and not connection.scalar(_HAS_INDEX):
        whole = []  # this build of SQLite had no FTS5 when the schema was created
    conditions = [messages.c.text.icontains(word, autoescape=True) for word in words if word not in whole]
    if not whole:
        return conditions
    if dialect == "sqlite":
        match = literal_column("messages_words").op("MATCH")(" ".join(f'"{word}"' for word in whole))
        return [messages.c.seq.in_(select(_WORDS.c.rowid).where(match)), *conditions]
    return [_VECTOR.op("@@")(func.plainto_tsquery(literal_column("'simple'"), " ".join(whole))), *conditions]


def snippet(whole: str, words: list[str]) -> str:
    """The text around the first match, on one line."""
    lower = whole.lower()
    places = [place for word in words if (place := lower.find(word.lower())) >= 0]
    start = max(min(places, default=0) - _AROUND, 0)
    end = start + 2 * _AROUND
    cut = " ".join(whole[start:end].split())
    return f"{'…' if start else ''}{cut}{'…' if end < len(whole) else ''}"
