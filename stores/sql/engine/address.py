"""Reads a database's URL: `sqlite:///` and the path of a file, or `postgresql://` as libpq reads it."""

from pathlib import Path

SQLITE = "sqlite:///"


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite database; `None` if the URL is one of PostgreSQL."""
    return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None
