"""Documents: kept for their owners, queued until they are read, and then found by what is in them."""

from collections.abc import Collection, Sequence
from functools import partial

from sqlalchemy import Connection

from domain.documents import MAX_NAME, Chunk, Document, Index, Job, Key, Passage, Work
from domain.events import UNWRITABLE
from domain.messages import Page
from stores.sql.documents import indexes, keywords, passages, queue, records
from stores.sql.documents.tables import vector_index
from stores.sql.engine.database import Database
from stores.sql.rows import insert_unless_there


class DocumentStore:
    """Where documents are kept. What is another owner's does not exist.

    A document that is deleted takes with it its content, pieces, words and, where they are in this database, vectors,
    all at once. Strings have no NUL and no lone surrogates in them; queries and names that are looked for may.
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
    ) -> tuple[Document, bool]:
        """Queue a new document; or, where the owner has these bytes, add the collections to that one.

        That one stays as it is, unless it has failed: then it is queued again, and its error gone. The second value is
        whether it is new. `too_many_documents` where `limit` of the owner's are queued already, `invalid_request` where
        it would be in more than `MAX_COLLECTIONS`.
        """
        new = Document(
            document_id, owner, name, digest, len(content), "queued", now, now, tuple(sorted(set(collections)))
        )
        return await self._database.write(partial(records.add, new=new, content=content, limit=limit))

    async def get(self, owner: str, document_id: str) -> Document | None:
        """The document."""
        return await self._database.read(partial(records.get, owner=owner, document_id=document_id))

    async def content(self, owner: str, document_id: str) -> bytes | None:
        """The bytes that were given."""
        return await self._database.read(partial(records.content, owner=owner, document_id=document_id))

    async def list(self, owner: str, *, collection: str | None, after: str | None, limit: int) -> Page[Document]:
        """The owner's documents, or those in one collection, newest first."""
        if collection is not None and UNWRITABLE.search(collection):  # PostgreSQL does not take it, and nobody has it
            return Page([], None)
        return await self._database.read(
            partial(records.listed, owner=owner, collection=collection, after=after, limit=limit)
        )

    async def delete(self, owner: str, document_id: str) -> bool:
        """Remove it; false where there is none. Whoever works on it is told so at the next step."""
        return await self._database.write(partial(records.remove, owner=owner, document_id=document_id))

    async def delete_all(self, owner: str) -> Sequence[str]:
        """Remove all of the owner's, each as a whole, and answer which they were. Others write in between."""
        gone: list[str] = []
        while some := await self._database.write(partial(records.remove_some, owner=owner)):
            gone += some
        return gone

    async def pending(self) -> bool:
        """Whether anybody's document is queued, or being worked on."""
        return await self._database.read(queue.pending)

    async def claim(self, worker: str, now: float, lease: float, *, attempts: int) -> Job | None:
        """Take a document off the queue for `lease` seconds; it is `parsing` from now on.

        The owner comes first for whom the fewest are being worked on, then the oldest document: two who claim in the
        same moment may take two of one owner's. A document whose worker's lease ended counts as queued; after
        `attempts` such ends it has failed, with `document_crashed`: `hopeless` says which will have.
        """
        if not await self._database.read(partial(queue.waits, now=now)):
            return None  # those who find nothing do not keep the writers waiting
        return await self._database.write(partial(queue.claim, worker=worker, now=now, lease=lease, attempts=attempts))

    async def hopeless(self, now: float, *, attempts: int) -> Sequence[Document]:
        """The documents that `attempts` workers were lost with: who claims next fails them."""
        return await self._database.read(partial(queue.hopeless, now=now, attempts=attempts))

    async def renew(self, document_id: str, worker: str, now: float, lease: float) -> bool:
        """Have it for `lease` seconds from now; false where it is no longer the worker's."""
        return await self._database.write(
            partial(queue.renew, document_id=document_id, worker=worker, until=now + lease)
        )

    async def release(self, document_id: str, worker: str) -> None:
        """Put it back at its place in the queue; the attempt does not count."""
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
        """Say how far it is, and what is known of it now; a title is cut at `MAX_NAME` characters.

        False where it is no longer the worker's: it was deleted, or the lease was lost.
        """
        known = {"media_type": media_type, "title": title and title[:MAX_NAME], "pages": pages, "stream_id": stream_id}
        changes: dict[str, object] = {name: value for name, value in known.items() if value is not None}
        changes |= {"state": state, "updated": now}
        return await self._database.write(
            partial(queue.advance, document_id=document_id, worker=worker, changes=changes)
        )

    async def complete(
        self, document_id: str, worker: str, chunks: Sequence[Chunk], now: float, *, index: Index | None = None
    ) -> bool:
        """Keep its pieces, and make it ready; false where it is no longer the worker's, and nothing is kept.

        `index` is the one that has its vectors, and without it they are still to be made. `index_mismatch`, and nothing
        is kept, where another one answers by now.
        """
        return await self._database.write(
            partial(queue.complete, document_id=document_id, worker=worker, pieces=chunks, now=now, index=index)
        )

    async def fail(self, document_id: str, worker: str, code: str, now: float, *, detail: str | None = None) -> bool:
        """It has failed, with a code of `domain.errors.ERRORS`; false where it is no longer the worker's.

        `detail`, of `MAX_DETAIL` characters at most, says more than the code does.
        """
        return await self._database.write(
            partial(queue.fail, document_id=document_id, worker=worker, code=code, detail=detail, now=now)
        )

    async def scope(
        self, owner: str, *, ids: Collection[str] | None, collections: Collection[str] | None
    ) -> tuple[Index | None, Sequence[str] | None]:
        """What is to be searched: the index that answers, `None` before the first, and which documents of the owner's.

        They are the ready ones of these ids and those in these collections; all of them, if both are `None`. `None` is
        all, where no document has been taken in by half: its vectors would take the places of others.
        """
        names = None if collections is None else [name for name in collections if not UNWRITABLE.search(name)]

        def scope(connection: Connection) -> tuple[Index | None, Sequence[str] | None]:
            return indexes.index(connection), passages.selected(connection, owner, ids, names)

        return await self._database.read(scope)

    async def known(self, owner: str, ids: Collection[str]) -> Collection[str]:
        """Which of these are ids of the owner's documents, whatever their state."""
        return await self._database.read(partial(records.known, owner=owner, ids=ids))

    async def passages(self, owner: str, keys: Sequence[Key]) -> Sequence[Passage]:
        """The owner's pieces of these keys, a few hundred at most, in that order: those that are there."""
        return await self._database.read(partial(passages.passages, owner=owner, keys=keys))

    async def keywords(
        self, owner: str, query: str, *, document_ids: Collection[str] | None, limit: int
    ) -> Sequence[Key]:
        """The owner's pieces that hold words of the query, best first; any text will do as one."""
        return await self._database.read(
            partial(keywords.keywords, owner=owner, query=query, document_ids=document_ids, limit=limit)
        )

    async def index(self) -> Index | None:
        """The index of vectors that answers; `None` before the first."""
        return await self._database.read(indexes.index)

    async def use(self, index: Index, now: float) -> Index:
        """Let this index answer if none does yet, and say which one it is."""
        values = {"id": 1, "model": index.model, "dimension": index.dimension, "updated": now}

        def use(connection: Connection) -> Index:
            connection.execute(self._use, values)
            kept = indexes.index(connection)
            assert kept is not None
            return kept

        there = await self.index()
        return there if there is not None else await self._database.write(use)

    async def switch(self, index: Index, now: float) -> bool:
        """Let this index answer from now on; false, and nothing is changed, where it lacks a ready document."""
        await self.use(index, now)
        return await self._database.write(partial(indexes.switch, to=index, now=now))

    async def lacking(self, index: Index, limit: int) -> Sequence[Document]:
        """Everybody's ready documents by id, that this index does not hold."""
        return await self._database.read(partial(indexes.lacking, into=index, limit=limit))

    async def left(self, index: Index) -> tuple[int, int]:
        """How many ready documents this index lacks, and how many pieces those have."""
        return await self._database.read(partial(indexes.left, into=index))

    async def note(self, document_id: str, index: Index) -> bool:
        """This index holds all of the document's vectors; false where there is no such document (any more)."""
        return await self._database.write(partial(indexes.note, document_id=document_id, into=index))

    async def others(self, index: Index) -> Sequence[Index]:
        """All other indexes that hold documents."""
        return await self._database.read(partial(indexes.others, than=index))

    async def forget(self, index: Index) -> None:
        """This index was dropped."""
        await self._database.write(partial(indexes.forget, gone=index))

    async def chunks(self, owner: str, document_id: str) -> Sequence[Chunk]:
        """All pieces of a document, in order."""
        return await self._database.read(partial(passages.pieces, owner=owner, document_id=document_id))
