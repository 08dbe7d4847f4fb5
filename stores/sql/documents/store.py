"""The store of documents: keeps them for their owners, queues them for ingestion, and searches them."""

from collections.abc import Collection, Sequence
from functools import partial

from sqlalchemy import Connection

from domain.callers import UNLIMITED, OwnerLimits
from domain.documents import MAX_NAME, Chunk, Document, Index, IngestionJob, Passage, PieceKey, Work
from domain.messages import Page
from domain.text import UNWRITABLE
from stores.sql.documents import indexes, keywords, passages, queue, records, room
from stores.sql.documents.tables import vector_index
from stores.sql.engine.database import Database
from stores.sql.rows import insert_unless_there


class DocumentStore:
    """Stores documents. A method that takes an owner sees only that owner's documents.

    Deleting a document also deletes its content, pieces, words and, if they are in this database, vectors, all at once.
    Strings to store must have no NUL and no lone surrogates; queries and names to look up may.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._use = insert_unless_there(database, vector_index)

    async def add(
        self,
        owner: str,
        document_id: str,
        name: str,
        content: bytes,
        digest: str,
        collections: Sequence[str],
        now: float,
        *,
        limit: int,
        most: OwnerLimits = UNLIMITED,
    ) -> tuple[Document, bool]:
        """Queue a new document; if the owner already has these bytes, add the collections to that document.

        An existing document stays as it is, unless it has failed: then it is queued again without its error. Returns
        the document, and whether it is new. Raises `too_many_documents` if the owner already has `limit` queued,
        `quota_exceeded` if a new one would be more than `most`, and `invalid_request` if it would be in more than
        `MAX_COLLECTIONS`.
        """
        new = Document(
            document_id, owner, name, digest, len(content), "queued", now, now, tuple(sorted(set(collections)))
        )
        return await self._database.write(partial(records.add, new=new, content=content, limit=limit, most=most))

    async def stored(self, owner: str) -> tuple[int, int]:
        """How many documents the owner has, and the bytes that they take: as uploaded, and as text."""
        return await self._database.read(partial(room.stored, owner=owner))

    async def get(self, owner: str, document_id: str) -> Document | None:
        return await self._database.read(partial(records.get, owner=owner, document_id=document_id))

    async def content(self, owner: str, document_id: str) -> bytes | None:
        """The bytes that were uploaded."""
        return await self._database.read(partial(records.content, owner=owner, document_id=document_id))

    async def list(self, owner: str, *, collection: str | None, after: str | None, limit: int) -> Page[Document]:
        """A page of the owner's documents, or of those in one collection, newest first."""
        if collection is not None and UNWRITABLE.search(collection):  # PostgreSQL refuses it, and no name has it
            return Page([], None)
        return await self._database.read(
            partial(records.listed, owner=owner, collection=collection, after=after, limit=limit)
        )

    async def delete(self, owner: str, document_id: str) -> bool:
        """Delete a document; false if there is none. A worker that is processing it notices at its next step."""
        return await self._database.write(partial(records.remove, owner=owner, document_id=document_id))

    async def delete_all(self, owner: str) -> Sequence[str]:
        """Delete all of the owner's documents; returns their ids. Other writers get their turn in between."""
        gone: list[str] = []
        while some := await self._database.write(partial(records.remove_some, owner=owner)):
            gone += some
        return gone

    async def pending(self) -> bool:
        """Whether any owner's document is queued or being processed."""
        return await self._database.read(queue.pending)

    async def take(self, worker: str, now: float, lease: float, *, attempts: int) -> IngestionJob | None:
        """Take a document off the queue for `lease` seconds; its state becomes `parsing`.

        Owners with the fewest documents in progress come first, then the oldest document; two workers that take one at
        the same moment may both get one of the same owner. A document whose lease ended counts as queued. If that has
        happened `attempts` times, this call marks it as failed with `document_crashed`; `hopeless` returns such
        documents beforehand.
        """
        if not await self._database.read(partial(queue.waits, now=now)):
            return None  # checked without a write lock, so that idle workers do not hold up writers
        return await self._database.write(partial(queue.take, worker=worker, now=now, lease=lease, attempts=attempts))

    async def hopeless(self, now: float, *, attempts: int) -> Sequence[Document]:
        """The documents that `attempts` workers were lost with; the next `take` marks them as failed."""
        return await self._database.read(partial(queue.hopeless, now=now, attempts=attempts))

    async def renew(self, document_id: str, worker: str, now: float, lease: float) -> bool:
        """Extend the lease to `lease` seconds from now; false if the worker no longer has the document."""
        return await self._database.write(
            partial(queue.renew, document_id=document_id, worker=worker, until=now + lease)
        )

    async def release(self, document_id: str, worker: str) -> None:
        """Put the document back in its place in the queue; the attempt does not count."""
        await self._database.write(partial(queue.release, document_id=document_id, worker=worker))

    async def advance(
        self,
        document_id: str,
        worker: str,
        state: Work,
        now: float,
        *,
        media_type: str | None = None,
        title: str | None = None,
        pages: int | None = None,
        stream_id: str | None = None,
    ) -> bool:
        """Store the document's new state and what has become known about it; a title is cut to `MAX_NAME` characters.

        Returns false if the worker no longer has the document: it was deleted, or the lease was lost.
        """
        known = {"media_type": media_type, "title": title and title[:MAX_NAME], "pages": pages, "stream_id": stream_id}
        changes: dict[str, object] = {name: value for name, value in known.items() if value is not None}
        changes |= {"state": state, "updated": now}
        return await self._database.write(
            partial(queue.advance, document_id=document_id, worker=worker, changes=changes)
        )

    async def count_text(self, document_id: str, worker: str, size: int, *, most: int | None = None) -> bool:
        """Count so many bytes of the document's text; false if the worker no longer has it.

        Raises `quota_exceeded` if its owner's documents would take more than `most` bytes.
        """
        work = partial(room.count_text, document_id=document_id, worker=worker, size=size, most=most)
        return await self._database.write(work)

    async def complete(
        self, document_id: str, worker: str, chunks: Sequence[Chunk], now: float, *, index: Index | None = None
    ) -> bool:
        """Store a document's pieces and make it ready. If the worker no longer has it, stores nothing, returns false.

        `index` is the one with its vectors; `None` means that they are still to be made. Raises `index_mismatch`, and
        stores nothing, if another index has come into use.
        """
        return await self._database.write(
            partial(queue.complete, document_id=document_id, worker=worker, pieces=chunks, now=now, index=index)
        )

    async def fail(self, document_id: str, worker: str, code: str, now: float, *, detail: str | None = None) -> bool:
        """Mark the document as failed with a code of `domain.errors.ERRORS`; false if the worker no longer has it.

        `detail`, at most `MAX_DETAIL` characters, replaces the code's sentence.
        """
        return await self._database.write(
            partial(queue.fail, document_id=document_id, worker=worker, code=code, detail=detail, now=now)
        )

    async def scope(
        self, owner: str, *, ids: Collection[str] | None, collections: Collection[str] | None
    ) -> tuple[Index | None, Sequence[str] | None]:
        """What to search: the index in use, `None` before there is one, and the ids of the documents.

        The documents are the owner's ready ones with these ids or in these collections, or all if both are `None`. For
        all of them the second value is `None`, unless a document is half ingested: then the ids are listed, so that
        its vectors do not take the places of others.
        """
        names = None if collections is None else [name for name in collections if not UNWRITABLE.search(name)]

        def scope(connection: Connection) -> tuple[Index | None, Sequence[str] | None]:
            return indexes.index(connection), passages.selected(connection, owner, ids, names)

        return await self._database.read(scope)

    async def known(self, owner: str, ids: Collection[str]) -> Collection[str]:
        """Which of these ids belong to documents of the owner, in any state."""
        return await self._database.read(partial(records.known, owner=owner, ids=ids))

    async def passages(self, owner: str, keys: Sequence[PieceKey]) -> Sequence[Passage]:
        """The owner's pieces with these keys (a few hundred at most), in their order; missing ones are left out."""
        return await self._database.read(partial(passages.passages, owner=owner, keys=keys))

    async def keywords(
        self, owner: str, query: str, *, document_ids: Collection[str] | None, limit: int
    ) -> Sequence[PieceKey]:
        """The owner's pieces that contain words of the query, best first. Any text is a valid query.

        If the query has to be looked for in every piece, and that takes too long, they are the best of those looked at.
        """
        return await keywords.keywords(self._database, owner, query, document_ids, limit)

    async def index(self) -> Index | None:
        """The vector index in use; `None` before there is one."""
        return await self._database.read(indexes.index)

    async def use(self, index: Index, now: float) -> Index:
        """Make this the index in use if there is none yet; returns the one in use."""
        values = {"id": 1, "model": index.model, "dimension": index.dimension, "updated": now}

        def use(connection: Connection) -> Index:
            connection.execute(self._use, values)
            kept = indexes.index(connection)
            assert kept is not None
            return kept

        there = await self.index()
        return there if there is not None else await self._database.write(use)

    async def switch(self, index: Index, now: float) -> bool:
        """Make this the index in use; if it lacks a ready document, changes nothing and returns false."""
        await self.use(index, now)
        return await self._database.write(partial(indexes.switch, to=index, now=now))

    async def lacking(self, index: Index, limit: int) -> Sequence[Document]:
        """Up to `limit` ready documents of all owners, ordered by id, that this index does not hold."""
        return await self._database.read(partial(indexes.lacking, into=index, limit=limit))

    async def left(self, index: Index) -> tuple[int, int]:
        """How many ready documents this index lacks, and how many pieces those have."""
        return await self._database.read(partial(indexes.left, into=index))

    async def note(self, document_id: str, index: Index) -> bool:
        """Record that this index holds all of the document's vectors; false if the document does not exist."""
        return await self._database.write(partial(indexes.note, document_id=document_id, into=index))

    async def others(self, index: Index) -> Sequence[Index]:
        """All other indexes that hold documents."""
        return await self._database.read(partial(indexes.others, than=index))

    async def forget(self, index: Index) -> None:
        """Record that this index was dropped."""
        await self._database.write(partial(indexes.forget, gone=index))

    async def chunks(self, owner: str, document_id: str) -> Sequence[Chunk]:
        return await self._database.read(partial(passages.pieces, owner=owner, document_id=document_id))
