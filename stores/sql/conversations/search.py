"""Full-text search in an owner's messages.

A word of letters and digits is looked up as a whole in the word index. Anything else, and words of scripts without
spaces between words, are searched for anywhere in the text, which takes time proportional to the owner's messages: so
it is done in windows, newest first, and ends when its time is over.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, column, func, literal_column, select, table, text

from domain.messages import Found, Page
from stores.sql.engine.database import Database
from stores.sql.engine.timeouts import CutShort
from stores.sql.rows import LEAN_MESSAGE, message, seq_of
from stores.sql.tables import messages, sessions
from stores.sql.windows import SCAN_SECONDS, in_windows

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


async def search(database: Database, asked: MessageSearch, seconds: float = SCAN_SECONDS) -> Page[Found]:
    """A page of the messages that contain all the words, newest first; empty if there are none.

    If time is over before the page is full, it is incomplete, and its cursor is where the search has come.
    """
    looking = _Looking(asked, database.dialect)
    if not looking.words:
        return Page([], None)
    if database.dialect == "postgresql" and looking.whole:
        with suppress(CutShort):  # in windows it would not use the index of words, but read every message
            await database.scan(lambda connection: looking.look(connection, None), seconds / 2)
            return looking.page(complete=True)
    return looking.page(complete=await in_windows(database, looking.look, seconds))


class _Looking:
    """How far a search has come, and what it has found."""

    def __init__(self, asked: MessageSearch, dialect: str) -> None:
        self.words = asked.words.split()[:MAX_WORDS]
        self.whole = [word for word in self.words if _INDEXED.fullmatch(word)]
        self._asked = asked
        self._dialect = dialect
        self._before = seq_of(asked.after)
        self._found: list[tuple[int, Found]] = []

    def look(self, connection: Connection, rows: int | None) -> bool:
        """Look at the next so many messages, or at all; returns whether there are others, and room on the page."""
        mine = [messages.c.owner == self._asked.owner]
        if self._before is not None:
            mine.append(messages.c.seq < self._before)
        last = None
        if rows is not None:
            window = select(messages.c.seq).where(*mine).order_by(messages.c.seq.desc()).limit(1).offset(rows - 1)
            last = connection.scalar(window)
        if last is not None:
            mine.append(messages.c.seq >= last)
        room = self._asked.limit + 1 - len(self._found)
        query = (
            select(*LEAN_MESSAGE, messages.c.seq, sessions.c.title)
            .join(sessions, sessions.c.id == messages.c.session_id)
            .where(*mine, *self._conditions(connection, last))
            .order_by(messages.c.seq.desc())
            .limit(room)
        )
        found = [
            (row.seq, Found(message(row), row.title, snippet(row.text, self.words)))
            for row in connection.execute(query)
        ]
        self._found += found
        self._before = last
        return last is not None and len(found) < room

    def page(self, *, complete: bool) -> Page[Found]:
        """What was found."""
        items = [found for _, found in self._found[: self._asked.limit]]
        if len(self._found) > self._asked.limit:
            return Page(items, str(self._found[self._asked.limit - 1][0]))
        return Page(items, None) if complete else Page(items, str(self._before), incomplete=True)

    def _conditions(self, connection: Connection, last: int | None) -> list[ColumnElement[bool]]:
        whole = self.whole
        if self._dialect == "sqlite" and whole and not connection.scalar(_HAS_INDEX):
            whole = []  # this build of SQLite had no FTS5 when the schema was created
        # SQLite's LIKE takes upper and lower case for the same as it is; lower() would copy every text once a word.
        contains = messages.c.text.contains if self._dialect == "sqlite" else messages.c.text.icontains
        conditions = [contains(word, autoescape=True) for word in self.words if word not in whole]
        if not whole:
            return conditions
        if self._dialect == "sqlite":
            match = literal_column("messages_words").op("MATCH")(" ".join(f'"{word}"' for word in whole))
            those = select(_WORDS.c.rowid).where(match)
            if self._before is not None:
                those = those.where(_WORDS.c.rowid < self._before)
            if last is not None:
                those = those.where(_WORDS.c.rowid >= last)
            return [messages.c.seq.in_(those), *conditions]
        return [_VECTOR.op("@@")(func.plainto_tsquery(literal_column("'simple'"), " ".join(whole))), *conditions]


def snippet(whole: str, words: list[str]) -> str:
    """The text around the first match, on one line."""
    lower = whole.lower()
    places = [place for word in words if (place := lower.find(word.lower())) >= 0]
    start = max(min(places, default=0) - _AROUND, 0)
    end = start + 2 * _AROUND
    cut = " ".join(whole[start:end].split())
    return f"{'…' if start else ''}{cut}{'…' if end < len(whole) else ''}"
