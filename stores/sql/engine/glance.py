"""Reads the state of a database without SQLAlchemy, so that a server with nothing to do there need not import it.

If there is no file, `sqlite3` is not imported either.
"""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    import sqlite3

VERSIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""The schema versions that this program knows, oldest first; the last one is its own."""


@dataclass(frozen=True, slots=True)
class Glance:
    """`version` is the schema's, `None` if there is no schema. `pending` says whether answers are stored as running.

    `documents` says whether any documents are queued or being processed.
    """

    version: str | None
    pending: bool
    documents: bool = False

    @property
    def outdated(self) -> bool:
        """Whether there is a schema, and it is older than this program's."""
        return self.version is not None and self.version != VERSIONS[-1]


def glance(file: Path) -> Glance:
    """The state of an SQLite file, which is not created; raises `sqlite3.Error` if it cannot be read."""
    if not file.exists():
        return Glance(None, pending=False)
    import sqlite3

    address = f"file:{quote(str(file.absolute()))}?mode=rw"  # reading a log that a crash left behind needs write access
    with closing(sqlite3.connect(address, uri=True, timeout=5)) as connection:
        if not _has(connection, "alembic_version"):
            return Glance(None, pending=False)
        version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        pending = _any(connection, "messages", "state = 'running'")
        documents = _any(connection, "documents", "state NOT IN ('ready', 'failed')")
        return Glance(version[0] if version else None, pending, documents)


def _any(connection: "sqlite3.Connection", table: str, condition: str) -> bool:
    """Whether any such row exists. An older schema lacks some tables."""
    query = f"SELECT 1 FROM {table} WHERE {condition} LIMIT 1"  # noqa: S608 - both are ours
    return _has(connection, table) and connection.execute(query).fetchone() is not None


def _has(connection: "sqlite3.Connection", table: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (table,)).fetchone() is not None
