"""Migrates the schema, and checks its version.

An SQLite file is migrated when it is first used. PostgreSQL may be shared by several servers, so its operator decides
when, with `python main.py migrate`. A schema that is newer than this program is refused and left alone. Everything here
blocks: call it in a thread without an event loop.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, Connection, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from stores.sql.engine.address import sqlite_file
from stores.sql.engine.failures import reason_of, translated
from stores.sql.engine.glance import VERSIONS, glance
from stores.sql.engine.postgres import postgres_engine
from stores.sql.engine.sqlite import transaction
from stores.sql.engine.timeouts import Timeouts

T = TypeVar("T")

MIGRATIONS = Path(__file__).parents[1] / "migrations"

_LONG = Timeouts(turn=30, work=3_600)
_LOCK = 0x53_74_72_65_61_6D  # any number that no other program uses: "Stream"

_REFUSED = {
    "28": "PostgreSQL does not accept the user or the password of DATABASE_URL.",
    "3D": "The database that DATABASE_URL names does not exist. Create it first.",
    "42501": "The user of DATABASE_URL may not create tables. Grant it CREATE on the schema.",
    "SQLITE_NOTADB": "The database's file is not an SQLite database, or is damaged.",
    "SQLITE_CORRUPT": "The database's file is damaged.",
}


class SchemaError(Exception):
    """The database cannot be used as it is. The message is a sentence that says what to do."""


def migrate(url: str, to: str = VERSIONS[-1]) -> str | None:
    """Migrate the schema to version `to`; returns the version it had. Concurrent calls migrate only once."""
    file = sqlite_file(url)
    with _explained():
        return _migrate_file(file, to) if file else asyncio.run(_in_postgres(url, partial(_migrate_locked, to=to)))


def check(url: str) -> None:
    """Raise a `SchemaError` if the schema is not this program's version."""
    if _behind(_version_at(url)):
        raise SchemaError("The database's schema is not up to date. Run: python main.py migrate")


def prepare(url: str) -> None:
    """Ensure that the schema is this program's version: migrate SQLite, only check PostgreSQL."""
    if sqlite_file(url) is None:
        check(url)
    elif _behind(_version_at(url)):
        migrate(url)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        with translated():
            yield
    except (DBAPIError, sqlite3.Error) as error:
        for reason, sentence in _REFUSED.items():
            if reason_of(error).startswith(reason):
                raise SchemaError(sentence) from error
        raise


def _version_at(url: str) -> str | None:
    file = sqlite_file(url)
    with _explained():
        return glance(file).version if file else asyncio.run(_in_postgres(url, _version))


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return version


def _behind(version: str | None) -> bool:
    if version is not None and version not in VERSIONS:
        raise SchemaError(f"The database's schema, {version[:50]!r}, is newer than this program. Update the program.")
    return version != VERSIONS[-1]


def _migrate_file(file: Path, to: str) -> str | None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600)  # SQLite gives the files it puts next to it the same mode
    engine = create_engine(
        URL.create("sqlite", database=str(file)), isolation_level="AUTOCOMMIT", poolclass=NullPool, hide_parameters=True
    )
    with engine.connect() as connection:
        for pragma in (f"busy_timeout={int(_LONG.turn * 1000)}", "journal_mode=WAL"):
            connection.exec_driver_sql(f"PRAGMA {pragma}")
        return transaction(connection, partial(_upgrade, to=to))


async def _in_postgres(url: str, work: Callable[[Connection], T]) -> T:
    engine = postgres_engine(url, _LONG)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


def _migrate_locked(connection: Connection, to: str) -> str | None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    return _upgrade(connection, to)


def _upgrade(connection: Connection, to: str) -> str | None:
    from alembic import command
    from alembic.config import Config

    before = _version(connection)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it logs every plugin
    if _behind(before):
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, to)
    return before
