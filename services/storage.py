"""The database, opened on first use: a server that stores nothing never imports SQLAlchemy."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from domain.errors import StreamForgeError

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
    """The stores of an open database."""

    keys: "KeyStore"
    sessions: "SessionStore"
    messages: "MessageStore"
    usage: "UsageStore"
    documents: "DocumentStore"
    collections: "CollectionStore"
    database: "Database"


class StorageError(Exception):
    """The database or Redis cannot be used as it is. The message is a sentence that says why."""


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


class _OnFirstUse:
    """Stands for a store, all of whose methods are coroutines: each call opens the database if it is not open yet."""

    def __init__(self, open_stores: Callable[[], Awaitable[Stores]], name: str) -> None:
        self._open_stores = open_stores
        self._name = name

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        async def call(*values: Any, **named: Any) -> Any:
            store = getattr(await self._open_stores(), self._name)
            return await getattr(store, method)(*values, **named)

        return call


class Storage:
    """One database, by its URL, and its stores, which open it on first use.

    If it cannot be opened, a call raises `storage_unavailable` or a `StorageError`, and the next one tries again.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._stores: Stores | None = None
        self.keys: KeyStore = self._on_first_use("keys")
        self.sessions: SessionStore = self._on_first_use("sessions")
        self.messages: MessageStore = self._on_first_use("messages")
        self.usage: UsageStore = self._on_first_use("usage")
        self.documents: DocumentStore = self._on_first_use("documents")
        self.collections: CollectionStore = self._on_first_use("collections")

    @property
    def opened(self) -> bool:
        """Whether the database has been used."""
        return self._stores is not None

    async def open(self) -> Stores:
        """Open the database now: its schema is checked, and that of an SQLite file is migrated."""
        if self._stores is not None:
            return self._stores
        async with self._opening:
            if self._stores is None:
                try:
                    self._stores = await self._open()
                except StreamForgeError:
                    raise
                except Exception as error:
                    raise StorageError(str(error)) from error
            return self._stores

    async def close(self) -> None:
        """Close the database, if it was opened."""
        await self._stack.aclose()

    def _on_first_use(self, name: str) -> Any:
        return _OnFirstUse(self.open, name)

    async def _open(self) -> Stores:
        sql = {  # in a thread: it takes a while
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
