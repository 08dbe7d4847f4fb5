"""Vectors in the main database's SQLite file: exact, and without another library opening that file.

A search runs in one of the database's reader threads: numpy scores 10,000 vectors of 256 numbers in less than a
millisecond and releases the interpreter's lock meanwhile, so a separate process would cost more than it saves.

The vectors of the owners who searched most recently are cached in memory. The cache stays correct whichever process
writes: rows are numbered and no number is used twice, so the highest one shows whether vectors were added, and a
trigger of the database counts how often vectors of an owner were deleted.
"""

import json
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from threading import Lock
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, text

from domain.documents import Hit, Index, PieceKey, Vector
from stores.sql.documents.tables import documents, vectors, vectors_gone
from stores.sql.engine.database import Database
from stores.vectors.blocks import VectorBlock, merged

KEPT = 128 * 1024 * 1024
"""The most bytes of vectors that are cached in memory, for all owners together."""

_OTHER_LENGTH = "the question's vector does not have the length that the index has"
_AT_ONCE = 2_000
"""Rows per query."""
_DROPPED_AT_ONCE = 5_000

_OF = (
    vectors.c.owner == bindparam("owner_"),
    vectors.c.model == bindparam("model_"),
    vectors.c.dimension == bindparam("dimension_"),
)
_GONE = select(vectors_gone.c.times).where(vectors_gone.c.owner == bindparam("owner_")).scalar_subquery()
_STATE = select(
    select(func.coalesce(func.max(vectors.c.seq), 0)).where(*_OF).scalar_subquery(), func.coalesce(_GONE, 0)
)
_COUNT = select(func.count()).where(*_OF)
_ROWS = (  # in the driver's own types, which is faster
    "SELECT seq, document_id, number, vector FROM document_vectors WHERE owner = :owner_ AND model = :model_ "
    "AND dimension = :dimension_ AND seq > :last {only} ORDER BY seq LIMIT :most"
)
_ALL = text(_ROWS.format(only=""))
_ONLY = text(_ROWS.format(only="AND document_id IN (SELECT value FROM json_each(:ids))"))
_THESE = text(
    "SELECT document_id, number, vector FROM json_each(:keys) AS key CROSS JOIN document_vectors "
    "ON document_id = json_extract(key.value, '$[0]') AND model = :model_ AND dimension = :dimension_ "
    "AND number = json_extract(key.value, '$[1]') WHERE owner = :owner_"
)
_THERE = select(documents.c.id).where(documents.c.id == bindparam("document"), documents.c.owner == bindparam("owner_"))
_ADD = insert(vectors)
_DELETE = delete(vectors).where(vectors.c.document_id == bindparam("document"), vectors.c.owner == bindparam("owner_"))
_BEFORE = _DELETE.where(*_OF[1:], vectors.c.number.between(bindparam("first"), bindparam("last")))
"""The vectors to overwrite. They are deleted first: the trigger does not count replaced rows."""
_SOME = select(vectors.c.seq).where(*_OF[1:]).limit(_DROPPED_AT_ONCE)
_DROP = delete(vectors).where(vectors.c.seq.in_(_SOME))


class SqliteVectors:
    """A vector store in SQLite, in the given database."""

    def __init__(self, database: Database, *, kept: int = KEPT) -> None:
        if database.dialect != "sqlite":
            raise ValueError("these vectors are kept in SQLite only")
        self._database = database
        self._most = kept
        self._kept: OrderedDict[tuple[Index, str], VectorBlock] = OrderedDict()
        self._changing = Lock()

    async def add(
        self, index: Index, owner: str, document_id: str, vectors: Sequence[Vector], *, first: int = 0
    ) -> None:
        """Store the vectors of pieces, unless the document no longer exists."""
        if any(len(vector) != 4 * index.dimension for vector in vectors):
            raise ValueError("a vector does not have the length that its index has")
        rows = [
            {
                "document_id": document_id, "owner": owner, "model": index.model, "dimension": index.dimension,
                "number": number, "vector": vector,
            }
            for number, vector in enumerate(vectors, first)
        ]  # fmt: skip

        def add(connection: Connection) -> None:
            there = connection.execute(_THERE, {"document": document_id, "owner_": owner}).first() is not None
            if there and rows:
                written_over = {"document": document_id, "first": first, "last": first + len(rows) - 1}
                connection.execute(_BEFORE, _values(index, owner) | written_over)
                connection.execute(_ADD, rows)

        await self._database.write(add)

    async def search(
        self, index: Index, owner: str, vector: Vector, *, document_ids: Collection[str] | None, limit: int
    ) -> list[Hit]:
        """The owner's nearest pieces; every one is compared."""
        if len(vector) != 4 * index.dimension:
            raise ValueError(_OTHER_LENGTH)
        if limit < 1 or (document_ids is not None and not document_ids):
            return []
        return await self._database.scan(
            partial(self._search, index=index, owner=owner, vector=vector, document_ids=document_ids, limit=limit)
        )

    async def scores(
        self, index: Index, owner: str, vector: Vector, keys: Collection[PieceKey]
    ) -> dict[PieceKey, float]:
        if len(vector) != 4 * index.dimension:
            raise ValueError(_OTHER_LENGTH)
        values = _values(index, owner) | {"keys": json.dumps(list(keys))}

        def scores(connection: Connection) -> dict[PieceKey, float]:
            import numpy as np

            rows = connection.execute(_THESE, values).all()
            matrix = np.frombuffer(b"".join(row.vector for row in rows), dtype="<f4").reshape(-1, index.dimension)
            cosines = np.einsum("ij,j->i", matrix, np.frombuffer(vector, dtype="<f4")).clip(-1, 1).tolist()
            return {PieceKey(row.document_id, row.number): score for row, score in zip(rows, cosines, strict=True)}

        return await self._database.read(scores) if keys else {}

    def _search(
        self,
        connection: Connection,
        index: Index,
        owner: str,
        vector: Vector,
        document_ids: Collection[str] | None,
        limit: int,
    ) -> list[Hit]:
        import numpy as np

        question = np.frombuffer(vector, dtype="<f4")
        state = tuple(connection.execute(_STATE, _values(index, owner)).one())
        known = self._known(index, owner)
        if known is not None and known.state == state:
            return known.best(question, document_ids, limit)
        count = connection.execute(_COUNT, _values(index, owner)).scalar_one()
        if count * 4 * index.dimension > self._most:  # too many to cache: score them while reading
            hits: list[Hit] = []
            for block in _blocks(connection, index, owner, document_ids=document_ids):
                hits = merged(hits, block.best(question, document_ids, limit), limit)
            return hits
        whole = _whole(connection, index, owner, known, state[1])
        self._keep(index, owner, whole)
        return whole.best(question, document_ids, limit)

    def _known(self, index: Index, owner: str) -> VectorBlock | None:
        """The cached vectors, if any; marks them as the most recently used."""
        with self._changing:
            known = self._kept.get((index, owner))
            if known is not None:
                self._kept.move_to_end((index, owner))
            return known

    def _keep(self, index: Index, owner: str, block: VectorBlock) -> None:
        with self._changing:
            self._kept[index, owner] = block
            self._kept.move_to_end((index, owner))
            while sum(one.matrix.nbytes for one in self._kept.values()) > self._most:
                self._kept.popitem(last=False)

    async def delete(self, owner: str, document_id: str) -> None:
        """Delete the document's vectors. Deleting the document deletes them, too."""
        values = {"document": document_id, "owner_": owner}
        await self._database.write(lambda connection: connection.execute(_DELETE, values))

    async def drop(self, index: Index) -> None:
        """Delete a whole index, a part at a time, so that other writers get their turn."""
        values = {"model_": index.model, "dimension_": index.dimension}
        while await self._database.write(lambda connection: connection.execute(_DROP, values).rowcount) > 0:
            pass

    async def close(self) -> None:
        """Clear the cache; the caller that opened the database closes it."""
        with self._changing:
            self._kept.clear()


def _values(index: Index, owner: str) -> dict[str, Any]:
    return {"owner_": owner, "model_": index.model, "dimension_": index.dimension}


def _whole(connection: Connection, index: Index, owner: str, known: VectorBlock | None, gone: int) -> VectorBlock:
    """All of the owner's vectors; reads only those that are not in `known`."""
    import numpy as np

    nothing = VectorBlock(0, [], [], np.empty((0, index.dimension), dtype="<f4"))
    start = [known if known is not None and known.gone == gone else nothing]
    parts = start + list(_blocks(connection, index, owner, last=start[0].last))
    ids = [document_id for part in parts for document_id in part.ids]
    numbers = [number for part in parts for number in part.numbers]
    return VectorBlock(parts[-1].last, ids, numbers, np.concatenate([part.matrix for part in parts]), gone)


def _blocks(
    connection: Connection, index: Index, owner: str, *, last: int = 0, document_ids: Collection[str] | None = None
) -> Iterator[VectorBlock]:
    """The owner's vectors in the rows after number `last`, of these documents or of all."""
    import numpy as np

    values = _values(index, owner) | {"most": _AT_ONCE}
    if document_ids is not None:
        values["ids"] = json.dumps(list(document_ids))
    query = _ALL if document_ids is None else _ONLY
    while rows := connection.execute(query, values | {"last": last}).all():
        numbered, ids, numbers, parts = zip(*rows, strict=True)
        last = numbered[-1]
        matrix = np.frombuffer(b"".join(parts), dtype="<f4").reshape(-1, index.dimension)
        yield VectorBlock(last, list(ids), list(numbers), matrix)
