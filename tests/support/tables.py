"""What a server's database in a file holds, table by table."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from stores.sql.documents.tables import sqlite_only
from stores.sql.tables import metadata

TABLES = {table.name: table for each in (metadata, sqlite_only) for table in each.sorted_tables}

Row = dict[str, Any]


def contents(folder: Path) -> dict[str, list[Row]]:
    """Every row, in the order of insertion. Indexes of words are made of these."""
    with closing(sqlite3.connect(folder / "streamforge.db")) as connection:
        connection.row_factory = sqlite3.Row
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return {
            name: [dict(row) for row in connection.execute(f'SELECT * FROM "{name}" ORDER BY rowid')]
            for name in TABLES
            if name in there
        }
