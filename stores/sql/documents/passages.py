"""Reads the pieces of documents, and selects the documents to search."""

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, text

from domain.documents import Chunk, Passage, PieceKey
from stores.sql.documents import records
from stores.sql.documents.queue import CHUNK
from stores.sql.documents.tables import chunks
from stores.sql.rows import AnyRow

_CHUNKS = (
    select(*CHUNK)
    .where(chunks.c.document_id == bindparam("document"), chunks.c.owner == bindparam("owner_"))
    .order_by(chunks.c.number)
)
_PASSAGES = (
    "SELECT piece.document_id, piece.number, name, title, text, page, heading, media_type FROM {keys} "
    "{join} document_chunks AS piece ON piece.document_id = {id} AND piece.number = {number} "
    "{join} documents ON documents.id = piece.document_id WHERE documents.owner = :owner AND state = 'ready'"
)
_PASSAGES_IN_SQLITE = text(
    _PASSAGES.format(
        join="CROSS JOIN",  # which in SQLite also fixes the order of the tables
        keys="json_each(:keys) AS key",
        id="json_extract(key.value, '$[0]')",
        number="json_extract(key.value, '$[1]')",
    )
)
_PASSAGES_IN_POSTGRESQL = text(
    _PASSAGES.format(
        join="JOIN",
        keys="unnest(CAST(:ids AS text[]), CAST(:numbers AS integer[])) AS key (id, number)",
        id="key.id",
        number="key.number",
    )
)
_READY = text("SELECT id FROM documents WHERE owner = :owner AND state = 'ready' ORDER BY id")
_HALF = text(  # some of its vectors may already exist; uses the index of unfinished documents
    "SELECT 1 FROM documents WHERE owner = :owner AND state NOT IN ('ready', 'failed') "
    "AND media_type IS NOT NULL LIMIT 1"
)
_SELECTED = (
    "SELECT id FROM documents WHERE owner = :owner AND state = 'ready' AND (id {ids} OR id IN ("
    "SELECT document_id FROM document_collections WHERE owner = :owner AND name {names})) ORDER BY id"
)
_SELECTED_IN_SQLITE = text(
    _SELECTED.format(ids="IN (SELECT value FROM json_each(:ids))", names="IN (SELECT value FROM json_each(:names))")
)
_SELECTED_IN_POSTGRESQL = text(
    _SELECTED.format(ids="= ANY(CAST(:ids AS text[]))", names="= ANY(CAST(:names AS text[]))")
)


def selected(
    connection: Connection, owner: str, ids: Collection[str] | None, names: Collection[str] | None
) -> list[str] | None:
    """The owner's ready documents with one of the ids or in one of the collections; `None` stands for all.

    If neither is given, the result is `None`. But if a document is half ingested, it is the list of all ready ones:
    otherwise that document's vectors would take the places of others.
    """
    values: dict[str, Any] = {"owner": owner}
    if ids is None and names is None:
        half = connection.execute(_HALF, values).first()
        return list(connection.execute(_READY, values).scalars()) if half is not None else None
    values |= {"ids": list(ids or ()), "names": list(names or ())}
    if connection.dialect.name == "sqlite":
        values |= {"ids": json.dumps(values["ids"]), "names": json.dumps(values["names"])}
        return list(connection.execute(_SELECTED_IN_SQLITE, values).scalars())
    return list(connection.execute(_SELECTED_IN_POSTGRESQL, values).scalars())


def passages(connection: Connection, owner: str, keys: Sequence[PieceKey]) -> list[Passage]:
    """The owner's pieces with these keys, in their order, without those that do not exist."""
    if not keys:
        return []
    if connection.dialect.name == "sqlite":
        rows = connection.execute(_PASSAGES_IN_SQLITE, {"owner": owner, "keys": json.dumps(keys)})
    else:
        ids, numbers = zip(*keys, strict=True)
        rows = connection.execute(_PASSAGES_IN_POSTGRESQL, {"owner": owner, "ids": list(ids), "numbers": list(numbers)})
    found = {PieceKey(row[0], row[1]): row for row in rows}
    return [_passage(key, found[key]) for key in keys if key in found]


def _passage(key: PieceKey, row: AnyRow) -> Passage:
    _, _, name, title, text, page, heading, media_type = row
    return Passage(key, name, title or name, text, page, heading, media_type=media_type)


def pieces(connection: Connection, owner: str, document_id: str) -> list[Chunk]:
    """All pieces of a document, in order; empty if it is not the owner's."""
    return [Chunk(*row) for row in connection.execute(_CHUNKS, records.mine(owner, document_id))]
