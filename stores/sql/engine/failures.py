"""Translates failures of the database into errors: unavailable or full; anything else is a mistake in this program."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from domain.errors import StreamForgeError
from domain.streams import RETRY_AFTER

_FULL = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "53100")
"""No space left, or the file may not grow: SQLite reports a limit on its size as a failed write."""

_NOT_NOW = (
    "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_INTERRUPT", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY",
    "08",  # the connection
    "25006",  # a standby, which is read-only
    "40",  # rolled back because of another transaction
    "53",  # out of connections or memory
    "55P03", "57",  # locked, cancelled, shut down, not yet up
)  # fmt: skip
"""Prefixes of SQLite's error names and of PostgreSQL's SQLSTATEs."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise `storage_unavailable` or `storage_full` for failures of the database; other exceptions pass through."""
    try:
        yield
    except (DBAPIError, sqlite3.Error, PoolExhausted, OSError) as error:
        reason = reason_of(error)
        code = _code(error, reason)
        if code is None:
            raise
        structlog.get_logger("stores.sql").warning("storage_failed", code=code, reason=reason)
        raise StreamForgeError(code, retry_after=RETRY_AFTER) from error


def _code(error: Exception, reason: str) -> str | None:
    if reason.startswith(_FULL):
        return "storage_full"
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if lost or isinstance(error, PoolExhausted | OSError) or reason.startswith(_NOT_NOW):
        return "storage_unavailable"
    return None


def reason_of(error: BaseException) -> str:
    """SQLite's name of the error, PostgreSQL's SQLSTATE, or the exception's name; never its message or a value."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    for attribute in ("sqlite_errorname", "sqlstate"):
        if name := getattr(cause, attribute, None):
            return str(name)
    return type(cause).__name__
