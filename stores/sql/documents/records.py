"""Rows of documents: adding, filing, reading and deleting them with everything that belongs to them."""

from collections.abc import Collection, Sequence
from dataclasses import fields

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from domain.callers import OwnerLimits
from domain.documents import MAX_COLLECTIONS, Document
from domain.errors import StreamForgeError
from domain.messages import Page
from stores.sql.documents import room
from stores.sql.documents.tables import collections, contents, documents
from stores.sql.rows import AnyRow, among, moment_cursor, moment_of

DOCUMENT = tuple(documents.c[field.name] for field in fields(Document) if field.name != "collections")
MINE = (documents.c.id == bindparam("document"), documents.c.owner == bindparam("owner_"))

_REMOVED_AT_ONCE = 10
_SAME = (
    select(*DOCUMENT)
    .where(documents.c.owner == bindparam("owner_"), documents.c.digest == bindparam("digest"))
    .with_for_update()
)
_AGAIN = (
    update(documents)
    .where(documents.c.id == bindparam("document"))
    .values(
        dict.fromkeys(("code", "detail", "media_type", "title", "pages", "chunks", "stream_id", "text_size"))
        | {"state": "queued", "attempts": 0, "updated": bindparam("moment")}
    )
    .returning(*DOCUMENT)
)
_WAITING = (
    select(func.count())
    .select_from(documents)
    .where(documents.c.owner == bindparam("owner_"), documents.c.state == "queued")
)
_GET = select(*DOCUMENT).where(*MINE)
_CONTENT = select(contents.c.content).join(documents, documents.c.id == contents.c.document_id).where(*MINE)
_DELETE = delete(documents).where(*MINE)
_SOME = select(documents.c.id).where(documents.c.owner == bindparam("owner_")).limit(_REMOVED_AT_ONCE)
_DELETE_SOME = delete(documents).where(documents.c.id.in_(_SOME)).returning(documents.c.id)
_COLLECTIONS_OF = (
    select(collections.c.document_id, collections.c.name)
    .where(collections.c.document_id.in_(bindparam("ids", expanding=True)))
    .order_by(collections.c.name)
)


def mine(owner: str, document_id: str) -> dict[str, str]:
    """The parameters of `MINE`."""
    return {"owner_": owner, "document": document_id}


def with_collections(connection: Connection, rows: Sequence[AnyRow]) -> list[Document]:
    """Documents with their collections, from rows that begin with the columns `DOCUMENT`."""
    names: dict[str, list[str]] = {row.id: [] for row in rows}
    for document_id, name in connection.execute(_COLLECTIONS_OF, {"ids": list(names)}):
        names[document_id].append(name)
    fields_of = ({column.name: value for column, value in zip(DOCUMENT, row, strict=False)} for row in rows)
    return [Document(**known, collections=tuple(names[known["id"]])) for known in fields_of]


def add(connection: Connection, new: Document, content: bytes, limit: int, most: OwnerLimits) -> tuple[Document, bool]:
    """Add a document, or add the collections to the existing one with the same bytes; says whether it is new.

    An existing one that has failed goes back into the queue, as if it had never been tried.
    """
    room.lock(connection, new.owner)  # or two uploads at once would not see each other
    row = connection.execute(_SAME, {"owner_": new.owner, "digest": new.digest}).one_or_none()
    if row is not None:
        there = with_collections(connection, [row])[0]
        file(connection, there, [name for name in new.collections if name not in there.collections])
        if there.state == "failed":
            _admit(connection, new.owner, limit)
            row = connection.execute(_AGAIN, {"document": there.id, "moment": new.updated}).one()
        return with_collections(connection, [row])[0], False
    _admit(connection, new.owner, limit)
    room.check(connection, new.owner, new.size, most)
    values = {column.name: getattr(new, column.name) for column in DOCUMENT}
    connection.execute(insert(documents), values | {"attempts": 0})
    connection.execute(insert(contents), {"document_id": new.id, "content": content})
    file(connection, new, new.collections)
    return new, True


def _admit(connection: Connection, owner: str, limit: int) -> None:
    """Raise `too_many_documents` if the owner already has `limit` queued."""
    if connection.execute(_WAITING, {"owner_": owner}).scalar_one() >= limit:
        raise StreamForgeError("too_many_documents")


def file(connection: Connection, document: Document, names: Sequence[str]) -> None:
    """Put the document into collections that it is not in."""
    if len({*document.collections, *names}) > MAX_COLLECTIONS:
        raise StreamForgeError("invalid_request", f"A document is in at most {MAX_COLLECTIONS} collections.")
    rows = [{"document_id": document.id, "owner": document.owner, "name": name} for name in names]
    if rows:
        connection.execute(insert(collections), rows)


def get(connection: Connection, owner: str, document_id: str) -> Document | None:
    """The document; `None` if the owner has no such document."""
    rows = connection.execute(_GET, mine(owner, document_id)).all()
    return with_collections(connection, rows)[0] if rows else None


def locked(connection: Connection, owner: str, document_id: str) -> Document | None:
    """The document, locked until this transaction ends; `None` if the owner has no such document."""
    rows = connection.execute(_GET.with_for_update(), mine(owner, document_id)).all()
    return with_collections(connection, rows)[0] if rows else None


def content(connection: Connection, owner: str, document_id: str) -> bytes | None:
    """The bytes that were uploaded."""
    found = connection.execute(_CONTENT, mine(owner, document_id)).scalar_one_or_none()
    return None if found is None else bytes(found)


def listed(connection: Connection, owner: str, collection: str | None, after: str | None, limit: int) -> Page[Document]:
    """A page of the owner's documents, newest first."""
    query = (
        select(*DOCUMENT)
        .where(documents.c.owner == owner)
        .order_by(documents.c.created.desc(), documents.c.id.desc())
        .limit(limit + 1)
    )
    if collection is not None:
        inside = select(collections.c.document_id).where(collections.c.owner == owner, collections.c.name == collection)
        query = query.where(documents.c.id.in_(inside))
    if after is not None:
        moment, last = moment_of(after)
        created = documents.c.created
        query = query.where((created < moment) | ((created == moment) & (documents.c.id < last)))
    rows = connection.execute(query).all()
    shown = with_collections(connection, rows[:limit])
    return Page(shown, moment_cursor(shown[-1].created, shown[-1].id) if len(rows) > limit else None)


def remove(connection: Connection, owner: str, document_id: str) -> bool:
    """Delete a document. Foreign keys delete its rows in all tables, and triggers its entries in the word index."""
    return connection.execute(_DELETE, mine(owner, document_id)).rowcount > 0


def remove_some(connection: Connection, owner: str) -> list[str]:
    """Delete a few of the owner's documents, and return their ids; empty once none are left."""
    return list(connection.execute(_DELETE_SOME, {"owner_": owner}).scalars())


def known(connection: Connection, owner: str, ids: Collection[str]) -> set[str]:
    """Which of the ids belong to documents of the owner."""
    there = among(documents.c.id, ids, connection.dialect.name)
    return set(connection.execute(select(documents.c.id).where(documents.c.owner == owner, there)).scalars())
