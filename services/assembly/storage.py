"""Opens the database, and checks at the start whether what is kept can be used."""

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from importlib import import_module
from pathlib import Path

from config.groups.storage import StorageSettings
from domain.errors import StreamForgeError
from services.storage import Storage, StorageError
from stores.sql.engine.glance import VERSIONS, glance


def open_storage(settings: StorageSettings, stack: AsyncExitStack) -> Storage:
    """The database. It is not connected to before it is used."""
    storage = Storage(settings.database_url())
    stack.push_async_callback(storage.close)
    return storage


def check_database(settings: StorageSettings) -> None:
    """Raises `StorageError` if this program cannot use the database as it is; nothing is created or changed.

    Blocks, in a thread of its own: the caller may be in an event loop, and PostgreSQL's driver needs its own.
    """
    if settings.DATABASE_URL is None:
        file = settings.database_file()
        if not file.exists():
            return
        import sqlite3

        with contextlib.suppress(sqlite3.Error):  # the check below explains it
            if glance(file).version in (None, *VERSIONS):  # an older one is migrated on first use
                return
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_check_schema, settings.database_url()).result()


def _check_schema(url: str) -> None:
    schema = import_module("stores.sql.engine.schema")
    try:
        schema.check(url)
    except (schema.SchemaError, StreamForgeError) as error:
        raise StorageError(str(error)) from error


def check_chroma(folder: Path) -> None:
    """Raises `StorageError` if this process cannot use Chroma's folder."""
    chroma = import_module("stores.vectors.chroma_folder")
    try:
        chroma.check_chroma(folder)
    except chroma.ChromaError as error:
        raise StorageError(str(error)) from error


def check_redis(settings: StorageSettings) -> None:
    """Raises `StorageError` for a Redis that this program cannot use; one that is away is waited for later.

    Blocks, in a thread of its own, as `check_database` does.
    """
    if (address := settings.redis_address()) is not None:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(_try_redis, address).result()


def _try_redis(url: str) -> None:
    try:
        asyncio.run(import_module("stores.streams.shared.log").try_redis(url))
    except ValueError as error:
        raise StorageError(str(error)) from error
