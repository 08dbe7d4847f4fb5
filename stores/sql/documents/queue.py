"""The queue of documents to be ingested, shared by any number of workers.

A worker holds a document until its lease ends. If it loses the document, because the lease ended or the document was
deleted, every further change is refused, so it notices. Workers supply the time; their clocks must differ by less than
a lease.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, text, update

from domain.documents import Chunk, Document, Index, IngestionJob
from domain.errors import StreamForgeError
from stores.sql.documents import indexes, records
from stores.sql.documents.records import DOCUMENT
from stores.sql.documents.tables import chunks, contents, documents

CHUNK = tuple(chunks.c[field.name] for field in fields(Chunk))

_BATCH = 500
"""Rows per insert: on PostgreSQL, preparing them blocks the event loop."""

_UNFINISHED = text("documents.state NOT IN ('ready', 'failed')")  # the same condition as the partial index has
_QUEUED = documents.c.state == "queued"
_OVERDUE = ~_QUEUED & (documents.c.lease <= bindparam("moment"))
_AVAILABLE = (_UNFINISHED, or_(_QUEUED, _OVERDUE))
_FREE = {"worker": None, "lease": None}

_LOOK = select(documents.c.id).where(*_AVAILABLE).limit(1)
_PENDING = select(documents.c.id).where(_UNFINISHED).limit(1)
_HOPELESS = select(*DOCUMENT).where(_UNFINISHED, _OVERDUE, documents.c.attempts >= bindparam("most"))
_CRASHED = (
    update(documents)
    .where(documents.c.id.in_(_HOPELESS.with_only_columns(documents.c.id).with_for_update(skip_locked=True)))
    .values(state="failed", code="document_crashed", text_size=None, updated=bindparam("moment"), **_FREE)
)
_busy = (
    select(documents.c.owner, func.count().label("count"))
    .where(_UNFINISHED, ~_QUEUED, documents.c.lease > bindparam("moment"))
    .group_by(documents.c.owner)
    .subquery("busy")
)
_NEXT = (
    select(documents.c.id)
    .outerjoin(_busy, _busy.c.owner == documents.c.owner)
    .where(*_AVAILABLE)
    .order_by(func.coalesce(_busy.c.count, 0), documents.c.created, documents.c.id)
    .limit(1)
    .with_for_update(of=documents, skip_locked=True)
)
_TAKE = (
    update(documents)
    .where(documents.c.id == bindparam("document"))
    .values(
        state="parsing",
        updated=bindparam("moment"),
        worker=bindparam("by"),
        lease=bindparam("until"),
        attempts=documents.c.attempts + 1,
    )
    .returning(*DOCUMENT, documents.c.attempts)
)
_CONTENT = select(contents.c.content).where(contents.c.document_id == bindparam("document"))
_HELD = (documents.c.id == bindparam("document"), documents.c.worker == bindparam("by"), _UNFINISHED)
_RENEW = update(documents).where(*_HELD).values(lease=bindparam("until"))
_RELEASE = update(documents).where(*_HELD).values(state="queued", attempts=documents.c.attempts - 1, **_FREE)
_FAIL = (
    update(documents)
    .where(*_HELD)
    .values(
        state="failed",
        code=bindparam("reason"),
        detail=bindparam("more"),
        text_size=None,
        updated=bindparam("moment"),
        **_FREE,
    )
)
_READY = (
    update(documents)
    .where(*_HELD)
    .values(state="ready", code=None, chunks=bindparam("count"), updated=bindparam("moment"), **_FREE)
    .returning(documents.c.owner)
)
_CLEAR = delete(chunks).where(chunks.c.document_id == bindparam("document"))


def pending(connection: Connection) -> bool:
    """Whether any document is queued or being processed."""
    return connection.execute(_PENDING).first() is not None


def waits(connection: Connection, now: float) -> bool:
    """Whether there is a document to take."""
    return connection.execute(_LOOK, {"moment": now}).first() is not None


def hopeless(connection: Connection, now: float, attempts: int) -> list[Document]:
    """The documents that `attempts` workers were lost with."""
    rows = connection.execute(_HOPELESS, {"moment": now, "most": attempts}).all()
    return records.with_collections(connection, rows)


def take(connection: Connection, worker: str, now: float, lease: float, attempts: int) -> IngestionJob | None:
    """Take the oldest document of the owner with the fewest in progress."""
    connection.execute(_CRASHED, {"moment": now, "most": attempts})
    document_id = connection.execute(_NEXT, {"moment": now}).scalar_one_or_none()
    if document_id is None:
        return None
    values = {"document": document_id, "by": worker, "moment": now, "until": now + lease}
    *_, attempt = row = connection.execute(_TAKE, values).one()
    document = records.with_collections(connection, [row])[0]
    return IngestionJob(document, bytes(connection.execute(_CONTENT, {"document": document_id}).scalar_one()), attempt)


def renew(connection: Connection, document_id: str, worker: str, until: float) -> bool:
    """Extend the worker's lease."""
    values = {"document": document_id, "by": worker, "until": until}
    return connection.execute(_RENEW, values).rowcount > 0


def release(connection: Connection, document_id: str, worker: str) -> None:
    """Put the document back into the queue, as if it had not been taken."""
    connection.execute(_RELEASE, {"document": document_id, "by": worker})


def advance(connection: Connection, document_id: str, worker: str, changes: Mapping[str, object]) -> bool:
    """Store a document's new state and whatever has become known about it."""
    change = update(documents).where(*_HELD).values(dict(changes))
    return connection.execute(change, {"document": document_id, "by": worker}).rowcount > 0


def complete(
    connection: Connection, document_id: str, worker: str, pieces: Sequence[Chunk], now: float, index: Index | None
) -> bool:
    """Store the document's pieces and make it ready, so that searches find it."""
    if index is not None and indexes.hold(connection) != index:
        raise StreamForgeError("index_mismatch")
    values = {"document": document_id, "by": worker, "count": len(pieces), "moment": now}
    owner = connection.execute(_READY, values).scalar_one_or_none()
    if owner is None:
        return False
    connection.execute(_CLEAR, {"document": document_id})
    for first in range(0, len(pieces), _BATCH):
        rows = [
            {"document_id": document_id, "owner": owner}
            | {column.name: getattr(piece, column.name) for column in CHUNK}
            for piece in pieces[first : first + _BATCH]
        ]
        connection.execute(insert(chunks), rows)
    if index is not None:
        indexes.note(connection, document_id, index)
    return True


def fail(connection: Connection, document_id: str, worker: str, code: str, detail: str | None, now: float) -> bool:
    """Mark the document as failed."""
    values = {"document": document_id, "by": worker, "reason": code, "more": detail, "moment": now}
    return connection.execute(_FAIL, values).rowcount > 0
