"""Keyword search in an owner's pieces: a piece with any of the words matches, and the best matches come first.

Words are looked up in the word index by their English stems, which does little harm to other languages. The rarer a
word, the more it counts. Scripts without spaces between words are cut into pairs of characters and searched for in
every piece of the owner, which takes time proportional to their number.
"""

import json
import re
from collections.abc import Collection, Mapping
from math import log
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, or_, select, text

from domain.documents import PieceKey
from domain.text import COMMON, is_unspaced, words_of
from stores.sql.documents.tables import chunks
from stores.sql.rows import among

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


def keywords(
    connection: Connection, owner: str, query: str, document_ids: Collection[str] | None, limit: int
) -> list[PieceKey]:
    """The owner's pieces that match the query best, in these documents, or in all if `None`."""
    words, pairs = terms(query)
    if not words and not pairs:
        return []
    if pairs or (connection.dialect.name == "sqlite" and not _one(connection, _HAS_INDEX)):
        return _scanned(connection, owner, [*words, *pairs][:MAX_WORDS], document_ids, limit)
    look_up = _in_postgresql if connection.dialect.name == "postgresql" else _in_sqlite
    return look_up(connection, owner, words, document_ids, limit)


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
) -> list[PieceKey]:
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
) -> list[PieceKey]:
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


def _scanned(
    connection: Connection, owner: str, parts: list[str], document_ids: Collection[str] | None, limit: int
) -> list[PieceKey]:
    said = func.coalesce(chunks.c.heading, "") + " " + chunks.c.text
    place = func.strpos if connection.dialect.name == "postgresql" else func.instr
    held = [place(said, part) > 0 if is_unspaced(part) else said.icontains(part, autoescape=True) for part in parts]
    count = sum((case((one, 1), else_=0) for one in held[1:]), case((held[0], 1), else_=0))
    query = (
        select(chunks.c.document_id, chunks.c.number)
        .where(chunks.c.owner == owner, or_(*held), *_of(document_ids, connection))
        .order_by(count.desc(), chunks.c.seq)
        .limit(limit)
    )
    return [PieceKey(*row) for row in connection.execute(query)]


def _of(document_ids: Collection[str] | None, connection: Connection) -> tuple[ColumnElement[bool], ...]:
    return () if document_ids is None else (among(chunks.c.document_id, document_ids, connection.dialect.name),)
