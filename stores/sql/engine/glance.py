"""A look at a database without SQLAlchemy, so that a server that has nothing to do with it need not import that.

Nor does it import what reads SQLite, where there is no file.
"""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    import sqlite3

VERSIONS = ("0001", "0002", "0003", "0004", "0005")
"""The schema's versions that this program knows, oldest first: its own is the last."""


@dataclass(frozen=True, slots=True)
class Glance:
    """`version` is the schema's, `None` where there is none; `pending`, that answers are marked as running.

    `documents` says that some are waiting, or were being worked on.
    """

    version: str | None
    pending: bool
    documents: bool = False

    @property
    def outdated(self) -> bool:
        """Whether there is a schema, and it is an older one."""
        return self.version is not None and self.version != VERSIONS[-1]


def glance(file: Path) -> Glance:
    """What is in an SQLite file, which is not made; `sqlite3.Error` where it cannot be read."""
    if not file.exists():
        return Glance(None, pending=False)
    import sqlite3

    address = f"file:{quote(str(file.absolute()))}?mode=rw"  # a log that a crash left behind needs the right to write
    with closing(sqlite3.connect(address, uri=True, timeout=5)) as connection:
        if not _has(connection, "alembic_version"):
            return Glance(None, pending=False)
        version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        pending = _any(connection, "messages", "state = 'running'")
        documents = _any(connection, "documents", "state NOT IN ('ready', 'failed')")
        return Glance(version[0] if version else None, pending, documents)


def _any(connection: "sqlite3.Connection", table: str, condition: str) -> bool:
    """Whether there are such rows. An older schema has not every table."""
    query = f"SELECT 1 FROM {table} WHERE {condition} LIMIT 1"  # noqa: S608 - both are ours
    return _has(connection, table) and connection.execute(query).fetchone() is not None


def _has(connection: "sqlite3.Connection", table: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (table,)).fetchone() is not None
