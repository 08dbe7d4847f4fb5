"""A wrapper around any collaborator, whose calls fail when a test says so, before or after they have done anything."""

from collections.abc import Callable
from typing import Any

from domain.errors import StreamForgeError
from services.storage import Storage, Stores
from stores.sql.conversations.messages import MessageStore
from stores.sql.conversations.sessions import SessionStore
from stores.sql.documents.collections import CollectionStore
from stores.sql.documents.store import DocumentStore
from stores.sql.engine.database import open_database
from stores.sql.keys import KeyStore
from stores.sql.usage import UsageStore


class Failing:
    """Passes calls on to the target; a call in `names` raises the error `code` if `fails` accepts its number.

    `part.name` names a call of one of the target's parts.

    With `done` they have done their work before they fail: only the result is lost.
    """

    def __init__(self, target: Any, names: tuple[str, ...], code: str) -> None:
        self._target = target
        self.names = names
        self._code = code
        self.fails: Callable[[int], bool] = lambda _: False
        self.done = False
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return self.wrapped(getattr(self._target, name), name)

    def wrapped(self, asked: Any, name: str) -> Any:
        """The target's attribute: a call that may fail, a part with such calls, or anything else unchanged."""
        if asked is not None and any(each.startswith(f"{name}.") for each in self.names):
            return _Part(self, asked, name)
        if name not in self.names:
            return asked

        async def call(*args: Any, **options: Any) -> Any:
            self.calls += 1
            failing = self.fails(self.calls)
            if failing and not self.done:
                raise StreamForgeError(self._code)
            answer = await asked(*args, **options)
            if failing:
                raise StreamForgeError(self._code)
            return answer

        return call


class _Part:
    def __init__(self, failing: Failing, target: Any, name: str) -> None:
        self._failing = failing
        self._target = target
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return self._failing.wrapped(getattr(self._target, name), f"{self._name}.{name}")


class FailingStorage(Storage):
    """A database whose reads and writes fail when `database` says so."""

    database: Failing

    async def _open(self) -> Stores:
        opened = await self._stack.enter_async_context(open_database(self._url))
        self.database = Failing(opened, ("read", "write"), "storage_unavailable")
        base: Any = self.database
        return Stores(
            KeyStore(base),
            SessionStore(base),
            MessageStore(base),
            UsageStore(base),
            DocumentStore(base),
            CollectionStore(base),
            base,
        )
