"""Whether an owner may have another session, decided in the transaction that adds it."""

from sqlalchemy import Connection, bindparam, func, select

from domain.callers import Share
from stores.sql.tables import sessions

_LOCK_CLASS = 0x53455353  # any number that no other program uses: "SESS"
_LOCK = select(func.pg_advisory_xact_lock(_LOCK_CLASS, func.hashtext(bindparam("owner_"))))
_COUNT = select(func.count()).select_from(sessions).where(sessions.c.owner == bindparam("owner_"))


def count(connection: Connection, owner: str) -> int:
    """How many sessions the owner has."""
    return int(connection.execute(_COUNT, {"owner_": owner}).scalar_one())


def full(connection: Connection, owner: str, most: int | None) -> Share | None:
    """What is used up if the owner has `most` sessions; else `None`.

    On PostgreSQL the owner's other transactions that ask wait until this one has ended: they could all find room
    for the same last session. On SQLite there is only one that writes.
    """
    if most is None:
        return None
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"owner_": owner})
    there = count(connection, owner)
    return Share("sessions", most, there) if there >= most else None
