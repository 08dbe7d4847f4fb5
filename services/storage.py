"""The database, opened when something is first to be kept: a server that keeps nothing never imports what it takes."""

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from domain.errors import StreamForgeError
from stores.sql.engine.glance import VERSIONS, glance

if TYPE_CHECKING:
    from stores.sql.conversations.messages import MessageStore
    from stores.sql.conversations.sessions import SessionStore
    from stores.sql.documents.collections import CollectionStore
    from stores.sql.documents.store import DocumentStore
    from stores.sql.engine.database import Database
    from stores.sql.keys import KeyStore
    from stores.sql.usage import UsageStore


@dataclass(frozen=True, slots=True)
class Stores:
    """What is kept in the database."""

    keys: "KeyStore"
    sessions: "SessionStore"
    messages: "MessageStore"
    usage: "UsageStore"
    documents: "DocumentStore"
    collections: "CollectionStore"
    database: "Database"
    """What a store of vectors is made from that keeps them beside the rest."""


class StorageError(Exception):
    """Why the database, or Redis, cannot be used, in a sentence."""


def check(url: str, file: Path | None) -> None:
    """Refuse a database that this program cannot use as it is; nothing is made or changed. `file` is SQLite's.

    Blocks, in a thread of its own: whoever asks may be in an event loop, where PostgreSQL's driver wants another one.
    """
    if file is not None:
        if not file.exists():
            return
        import sqlite3

        with contextlib.suppress(sqlite3.Error):  # which is told below
            if glance(file).version in (None, *VERSIONS):  # where it is older, it is brought up to date on first use
                return
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_check, url).result()


def _check(url: str) -> None:
    schema = import_module("stores.sql.engine.schema")
    try:
        schema.check(url)
    except (schema.SchemaError, StreamForgeError) as error:
        raise StorageError(str(error)) from error


def check_chroma(folder: Path) -> None:
    """Refuse a folder of Chroma's that this process cannot use."""
    chroma = import_module("stores.vectors.chroma_folder")
    try:
        chroma.check_chroma(folder)
    except chroma.ChromaError as error:
        raise StorageError(str(error)) from error


def check_redis(url: str) -> None:
    """Refuse a Redis that this program cannot use. Blocks, in a thread of its own, as `check` does."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_check_redis, url).result()


def _check_redis(url: str) -> None:
    try:
        asyncio.run(import_module("stores.streams.shared.log").try_redis(url))
    except ValueError as error:
        raise StorageError(str(error)) from error


_MODULES = {
    "database": "engine.database",
    "schema": "engine.schema",
    "keys": "keys",
    "sessions": "conversations.sessions",
    "messages": "conversations.messages",
    "usage": "usage",
    "documents": "documents.store",
    "collections": "documents.collections",
}


class Storage:
    """One database, by its URL. Opening it may fail, with `storage_unavailable`; the next one who asks tries again."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._stores: Stores | None = None

    @property
    def opened(self) -> bool:
        """Whether it has been used."""
        return self._stores is not None

    async def open(self) -> Stores:
        """The stores; on first use the schema is looked at, and SQLite's brought up to date."""
        if self._stores is not None:
            return self._stores
        async with self._opening:
            if self._stores is None:
                self._stores = await self._open()
            return self._stores

    async def close(self) -> None:
        """Let go of the database."""
        await self._stack.aclose()

    async def _open(self) -> Stores:
        sql = {  # in a thread, which takes a while; the schema's part is looked for when the database is opened
            name: await asyncio.to_thread(import_module, f"stores.sql.{module}") for name, module in _MODULES.items()
        }
        database = await self._stack.enter_async_context(sql["database"].open_database(self._url))
        return Stores(
            sql["keys"].KeyStore(database),
            sql["sessions"].SessionStore(database),
            sql["messages"].MessageStore(database),
            sql["usage"].UsageStore(database),
            sql["documents"].DocumentStore(database),
            sql["collections"].CollectionStore(database),
            database,
        )
