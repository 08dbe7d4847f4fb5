"""The database, opened when something is first to be kept: a server that keeps nothing never imports what it takes."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

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
