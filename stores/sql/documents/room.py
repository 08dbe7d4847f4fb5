"""Whether an owner has room for another document, and for its text, decided in the transaction that stores it."""

from sqlalchemy import Connection, bindparam, func, select, update

from domain.callers import OwnerLimits, Share, exceeded
from stores.sql.documents.tables import documents

_LOCK_CLASS = 0x444F4353  # any number that no other program uses: "DOCS"
_LOCK = select(func.pg_advisory_xact_lock(_LOCK_CLASS, func.hashtext(bindparam("owner_"))))
_TAKEN = func.coalesce(func.sum(documents.c.size + func.coalesce(documents.c.text_size, 0)), 0)
_STORED = select(func.count(), _TAKEN).select_from(documents).where(documents.c.owner == bindparam("owner_"))
_HELD = (documents.c.id == bindparam("document"), documents.c.worker == bindparam("by"))
_OWNER = select(documents.c.owner).where(*_HELD)
_COUNT_TEXT = update(documents).where(*_HELD).values(text_size=bindparam("bytes"))


def lock(connection: Connection, owner: str) -> None:
    """Let the owner's other transactions that ask for room wait until this one has ended.

    On SQLite there is only one that writes. On PostgreSQL, two could find the same room.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"owner_": owner})


def stored(connection: Connection, owner: str) -> tuple[int, int]:
    """How many documents the owner has, and how many bytes they take: as uploaded, and as text."""
    count, size = connection.execute(_STORED, {"owner_": owner}).one()
    return int(count), int(size)


def check(connection: Connection, owner: str, size: int, most: OwnerLimits) -> None:
    """Raise `quota_exceeded` if there is no room for another document of this size."""
    if most.documents is None and most.stored_bytes is None:
        return
    count, taken = stored(connection, owner)
    if most.documents is not None and count >= most.documents:
        raise exceeded(Share("documents", most.documents, count))
    if most.stored_bytes is not None and taken + size > most.stored_bytes:
        raise exceeded(Share("stored_bytes", most.stored_bytes, taken))


def count_text(connection: Connection, document_id: str, worker: str, size: int, most: int | None) -> bool:
    """Count so many bytes of text; raises `quota_exceeded`. False if the worker no longer has the document."""
    held = {"document": document_id, "by": worker}
    owner = connection.execute(_OWNER, held).scalar_one_or_none()
    if owner is None:
        return False
    lock(connection, owner)
    counted = connection.execute(_COUNT_TEXT, held | {"bytes": size}).rowcount > 0
    if most is not None and (taken := stored(connection, owner)[1]) > most:
        raise exceeded(Share("stored_bytes", most, taken - size))
    return counted
