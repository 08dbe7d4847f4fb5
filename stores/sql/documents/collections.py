"""Collections: names under which an owner's documents are filed. A collection exists while it holds a document."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import ColumnElement, Connection, Integer, bindparam, case, cast, delete, func, select

from domain.documents import Collection, Document
from stores.sql.documents import records
from stores.sql.documents.tables import collections, documents
from stores.sql.engine.database import Database

_MINE = (collections.c.owner == bindparam("owner_"), documents.c.owner == bindparam("owner_"))


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))


_READY, _FAILED = documents.c.state == "ready", documents.c.state == "failed"
_SUMS = (
    select(
        collections.c.name,
        _count(_READY),
        _count(_FAILED),
        _count(~(_READY | _FAILED)),
        cast(func.sum(documents.c.size), Integer),
        func.min(documents.c.created),
        func.max(documents.c.updated),
    )
    .join(documents, documents.c.id == collections.c.document_id)
    .where(*_MINE)
    .group_by(collections.c.name)
    .order_by(collections.c.name)
)
_ONE = _SUMS.where(collections.c.name == bindparam("name_"))
_FIRST = _SUMS.limit(bindparam("most"))
_NEXT = _FIRST.where(collections.c.name > bindparam("after"))
_OUT = delete(collections).where(collections.c.owner == bindparam("owner_"), collections.c.name == bindparam("name_"))
_ONE_OUT = _OUT.where(collections.c.document_id == bindparam("document"))


class CollectionStore:
    """Stores the collections of all owners."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, owner: str, name: str) -> Collection:
        """The owner's collection with that name, which may be empty."""

        def get(connection: Connection) -> Collection:
            row = connection.execute(_ONE, {"owner_": owner, "name_": name}).one_or_none()
            return Collection(*row) if row is not None else Collection(name)

        return await self._database.read(get)

    async def list(self, owner: str, *, after: str | None, limit: int) -> Sequence[Collection]:
        """At most `limit` of the owner's collections, ordered by name, after the one named `after`."""
        query = _FIRST if after is None else _NEXT.params(after=after)
        values = {"owner_": owner, "most": limit}
        return await self._database.read(
            lambda connection: [Collection(*row) for row in connection.execute(query, values)]
        )

    async def put_in(self, owner: str, name: str, document_id: str) -> Document | None:
        """File a document under a name; `None` if there is no such document.

        Raises `invalid_request` if it is already in `MAX_COLLECTIONS`.
        """
        return await self._database.write(partial(_put_in, owner=owner, name=name, document_id=document_id))

    async def take_out(self, owner: str, name: str, document_id: str | None = None) -> bool:
        """Remove one document, or all, from a collection without deleting them; false if there was none to remove."""
        values = {"owner_": owner, "name_": name}
        query = _OUT
        if document_id is not None:
            query, values["document"] = _ONE_OUT, document_id
        return await self._database.write(lambda connection: connection.execute(query, values).rowcount > 0)


def _put_in(connection: Connection, owner: str, name: str, document_id: str) -> Document | None:
    document = records.locked(connection, owner, document_id)
    if document is None or name in document.collections:
        return document
    records.file(connection, document, [name])
    return records.get(connection, owner, document_id)
