"""Keyword search in an owner's pieces: a piece with any of the words matches, and the best matches come first.

Words are looked up in the word index by their English stems, which does little harm to other languages. The rarer a
word, the more it counts. Scripts without spaces between words are cut into pairs of characters and searched for in
every piece of the owner, which takes time proportional to their number: so it is done in windows, and ends when its
time is over.
"""

import json
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from heapq import nsmallest
from math import log
from typing import Any

from sqlalchemy import Connection, and_, case, func, or_, select, text

from domain.documents import PieceKey
from domain.text import COMMON, is_unspaced, words_of
from stores.sql.documents.tables import chunks
from stores.sql.engine.database import Database
from stores.sql.engine.timeouts import CutShort
from stores.sql.rows import AnyRow, among
from stores.sql.windows import SCAN_SECONDS, in_windows

MAX_QUERY = 2_000
"""The most characters of a query that are read; the rest is ignored."""
MAX_WORDS = 32
MAX_FOUND = 2_000
"""The most pieces that are ranked, unless every word is in more than that."""

# SQLite's statements go straight to the driver: SQLAlchemy's handling would take longer than they do.
_HAS_INDEX = "SELECT count(*) FROM sqlite_master WHERE name = 'document_words'"
_ONE_OWNER = "SELECT (SELECT min(owner) FROM document_chunks) = ?1 AND (SELECT max(owner) FROM document_chunks) = ?1"
_FOUND_IN_SQLITE = "(SELECT count(*) FROM (SELECT 1 FROM document_words WHERE document_words MATCH ? LIMIT ?))"
_FOUND_IN_POSTGRESQL = text("""
    WITH words AS MATERIALIZED (
        SELECT DISTINCT plainto_tsquery('english', word) AS word FROM unnest(CAST(:words AS text[])) AS word
    )
    SELECT CAST(word AS text), (
        SELECT count(*) FROM (
            SELECT 1 FROM document_chunks WHERE owner = :owner AND document_words @@ word LIMIT :most
        ) AS those
    ) FROM words WHERE numnode(word) > 0
""")
_RANKED_IN_SQLITE = """
    SELECT piece.document_id, piece.number FROM (
        SELECT rowid AS seq FROM document_words WHERE document_words MATCH :match
        ORDER BY bm25(document_words, 0, 1, 1), rowid LIMIT -1
    ) AS word CROSS JOIN document_chunks AS piece ON piece.seq = word.seq WHERE piece.owner = :owner {only} LIMIT :most
"""
"""The word index ranks by itself (LIMIT keeps the inner query separate, CROSS fixes the order), so that pieces are
looked up best first, and no more of them than needed."""
_PIECES = text("SELECT coalesce(sum(chunks), 0) FROM documents WHERE owner = :owner AND state = 'ready'")
_RANKED_IN_POSTGRESQL = """
    SELECT document_id, number, (
        SELECT sum(weight * ts_rank(document_words, CAST(word AS tsquery), 1))
        FROM unnest(CAST(:words AS text[]), CAST(:weights AS float8[])) AS telling (word, weight)
    ) AS score
    FROM document_chunks WHERE owner = :owner AND document_words @@ CAST(:any AS tsquery) {only}
    ORDER BY score DESC, seq LIMIT :most
"""
"""As in BM25: a word's weight times its share of the piece, with diminishing returns for repetition."""


async def keywords(
    database: Database, owner: str, query: str, document_ids: Collection[str] | None, limit: int
) -> list[PieceKey]:
    """The owner's pieces that match the query best, in these documents, or in all if `None`."""
    words, pairs = terms(query)
    if not words and not pairs:
        return []
    if not pairs:
        look_up = _in_postgresql if database.dialect == "postgresql" else _in_sqlite
        found = await database.scan(lambda connection: look_up(connection, owner, words, document_ids, limit))
        if found is not None:
            return found
    scan = PieceScan(owner, [*words, *pairs][:MAX_WORDS], document_ids, limit, database.dialect)
    if database.dialect == "postgresql":
        with suppress(CutShort):  # it has no index in the order of the windows
            await database.scan(lambda connection: scan.look(connection, None), SCAN_SECONDS / 2)
            return scan.found
    await in_windows(database, scan.look)
    return scan.found


def terms(query: str) -> tuple[list[str], list[str]]:
    """A query's significant words, and, for scripts without spaces, its pairs of characters."""
    words: dict[str, None] = {}
    pairs: dict[str, None] = {}
    for word in words_of(query[:MAX_QUERY]):
        (pairs if is_unspaced(word) else words)[word] = None
    said = [word for word in words if word not in COMMON]
    return (said or ([] if pairs else list(words)))[:MAX_WORDS], list(pairs)[:MAX_WORDS]


def telling(found: Mapping[str, int]) -> list[str]:
    """The rarest words that are in at most `MAX_FOUND` pieces together; all words if none is that rare.

    `found` counts the pieces with each word, up to `MAX_FOUND + 1`. Ranking every piece that has a common word would
    take long and change little, since such a word adds next to nothing.
    """
    kept, total = [], 0
    there = sorted((count, word) for word, count in found.items() if count)
    for count, word in there:
        total += count
        if total > MAX_FOUND:
            break
        kept.append(word)
    return kept or [word for _, word in there]


def _in_sqlite(
    connection: Connection, owner: str, words: list[str], document_ids: Collection[str] | None, limit: int
) -> list[PieceKey] | None:
    """`None` if this build of SQLite had no FTS5 when the schema was created."""
    if not _one(connection, _HAS_INDEX):
        return None
    sieve = ""
    if not _one(connection, _ONE_OWNER, owner) and re.search("[a-zA-Z0-9]", owner):
        sieve = (
            f"owner : {_quoted(owner)} AND "  # filtering by owner first, so that other owners' documents cost nothing
        )

    sought = [value for word in words for value in (f"{sieve}{{heading text}} : {_quoted(word)}", MAX_FOUND + 1)]
    counts = connection.exec_driver_sql(f"SELECT {', '.join([_FOUND_IN_SQLITE] * len(words))}", tuple(sought)).one()
    chosen = telling(dict(zip(words, counts, strict=True)))
    if not chosen:
        return []
    match = f"{sieve}{{heading text}} : ({' OR '.join(map(_quoted, chosen))})"
    values: dict[str, Any] = {"match": match, "owner": owner, "most": limit}
    only = ""
    if document_ids is not None:
        only = "AND piece.document_id IN (SELECT value FROM json_each(:ids))"
        values["ids"] = json.dumps(list(document_ids))
    return [PieceKey(*row) for row in connection.exec_driver_sql(_RANKED_IN_SQLITE.format(only=only), values)]


def _one(connection: Connection, query: str, *values: str | int) -> int:
    found: int | None = connection.exec_driver_sql(query, values).scalar_one()
    return found or 0


def _quoted(words: str) -> str:
    return '"' + words.replace('"', '""') + '"'


def _in_postgresql(
    connection: Connection, owner: str, words: list[str], document_ids: Collection[str] | None, limit: int
) -> list[PieceKey] | None:
    values: dict[str, Any] = {"owner": owner, "words": words, "most": MAX_FOUND + 1}
    found = {row[0]: row[1] for row in connection.execute(_FOUND_IN_POSTGRESQL, values)}
    chosen = telling(found)
    if not chosen:
        return []
    pieces = connection.execute(_PIECES, {"owner": owner}).scalar_one()
    weights = [log(1 + (max(pieces, found[word]) - found[word] + 0.5) / (found[word] + 0.5)) for word in chosen]
    values = {"owner": owner, "words": chosen, "weights": weights, "any": " | ".join(chosen), "most": limit}
    only = ""
    if document_ids is not None:
        only = "AND document_id = ANY(CAST(:ids AS text[]))"
        values["ids"] = list(document_ids)
    return [
        PieceKey(row[0], row[1]) for row in connection.execute(text(_RANKED_IN_POSTGRESQL.format(only=only)), values)
    ]


class PieceScan:
    """Looks into an owner's pieces, in their order, for parts of texts; those with the most of them are the best."""

    def __init__(
        self, owner: str, parts: list[str], document_ids: Collection[str] | None, limit: int, dialect: str
    ) -> None:
        said = func.coalesce(chunks.c.heading, "") + " " + chunks.c.text
        place = func.strpos if dialect == "postgresql" else func.instr
        held = [place(said, part) > 0 if is_unspaced(part) else said.icontains(part, autoescape=True) for part in parts]
        count = sum((case((one, 1), else_=0) for one in held[1:]), case((held[0], 1), else_=0))
        only = () if document_ids is None else (among(chunks.c.document_id, document_ids, dialect),)
        self._mine = chunks.c.owner == owner
        self._query = (
            select(count, chunks.c.seq, chunks.c.document_id, chunks.c.number)
            .where(self._mine, or_(*held), *only)
            .order_by(count.desc(), chunks.c.seq)
            .limit(limit)
        )
        self._limit = limit
        self._after: int | None = None
        self._best: list[AnyRow] = []

    def look(self, connection: Connection, rows: int | None) -> bool:
        """Look at the next so many pieces, or at all; returns whether there are others."""
        query, last = self._query, None
        rest = self._mine if self._after is None else and_(self._mine, chunks.c.seq > self._after)
        if rows is not None:
            window = select(chunks.c.seq).where(rest).order_by(chunks.c.seq).limit(1).offset(rows - 1)
            last = connection.scalar(window)
        if self._after is not None:
            query = query.where(chunks.c.seq > self._after)
        if last is not None:
            query = query.where(chunks.c.seq <= last)
        best = nsmallest(self._limit, [*self._best, *connection.execute(query)], key=lambda row: (-row[0], row[1]))
        self._best, self._after = best, last
        return last is not None

    @property
    def found(self) -> list[PieceKey]:
        """The best of those looked at."""
        return [PieceKey(row[2], row[3]) for row in self._best]
