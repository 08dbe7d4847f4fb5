"""Vectors in the main database's SQLite file: exact, and no other library on that file.

A search runs in one of the database's reading threads: numpy scores 10,000 vectors of 256 numbers in less than a
millisecond and holds no lock on the interpreter meanwhile, so a process of its own would cost more than it saves.

The vectors of those who searched last are kept in memory. What is kept is right whoever has written in the meantime:
rows are numbered, and no number is used twice, so that two figures of the database, the highest number and how many
there are, tell whether something came, and whether something went.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from domain.documents import Hit, Index, Key, Vector
from stores.sql.database import Database
from stores.sql.document_tables import documents, vectors
from stores.sql.rows import among

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

KEPT = 64 * 1024 * 1024
"""Bytes of vectors that are kept in memory, of all owners together."""

_AT_ONCE = 2_000
"""Vectors that are read at a time."""
_DROPPED_AT_ONCE = 5_000

_OF = (
    vectors.c.owner == bindparam("owner_"),
    vectors.c.model == bindparam("model_"),
    vectors.c.dimension == bindparam("dimension_"),
)
_LAST = select(func.coalesce(func.max(vectors.c.seq), 0), func.count()).where(*_OF)
_OLD = select(func.count()).where(*_OF, vectors.c.seq <= bindparam("last"))
_ROWS = (
    select(vectors.c.seq, vectors.c.document_id, vectors.c.number, vectors.c.vector)
    .where(*_OF, vectors.c.seq > bindparam("last"))
    .order_by(vectors.c.seq)
    .limit(_AT_ONCE)
)
_THERE = select(documents.c.id).where(documents.c.id == bindparam("document"), documents.c.owner == bindparam("owner_"))
_ADD = insert(vectors).prefix_with("OR REPLACE")
_DELETE = delete(vectors).where(vectors.c.document_id == bindparam("document"), vectors.c.owner == bindparam("owner_"))
_SOME = select(vectors.c.seq).where(*_OF[1:]).limit(_DROPPED_AT_ONCE)
_DROP = delete(vectors).where(vectors.c.seq.in_(_SOME))


@dataclass(frozen=True)
class _Block:
    """Vectors of one owner and index, with their keys; `last` is the highest number of their rows."""

    last: int
    keys: list[Key]
    matrix: "Matrix"

    @cached_property
    def documents(self) -> tuple[dict[str, int], "NDArray[np.int32]"]:
        """The documents' places in a list, and for each vector the place of its own."""
        import numpy as np

        places: dict[str, int] = {}
        of = [places.setdefault(key.document_id, len(places)) for key in self.keys]
        return places, np.array(of, dtype=np.int32)

    def best(self, question: "Matrix", document_ids: Collection[str] | None, limit: int) -> list[Hit]:
        """The nearest, best first; of those that are equally near the oldest."""
        import numpy as np

        # Not `@`: its threads are for matrices that are larger by far, and keep the other processors busy in between.
        scores = np.einsum("ij,j->i", self.matrix, question)
        rows = np.arange(len(self.keys))
        if document_ids is not None:
            places, of = self.documents
            meant = np.zeros(len(places), dtype=bool)
            meant[[places[one] for one in document_ids if one in places]] = True
            rows = rows[meant[of]]
            scores = scores[rows]
        if len(rows) > limit:
            least = -np.partition(-scores, limit - 1)[limit - 1]
            rows, scores = rows[scores >= least], scores[scores >= least]
        order = np.argsort(-scores, kind="stable")[:limit]
        return [Hit(self.keys[rows[one]], _cosine(scores[one])) for one in order]


class SqliteVectors:
    """A store of vectors, in the database `database`, which is SQLite."""

    def __init__(self, database: Database, *, kept: int = KEPT) -> None:
        if database.dialect != "sqlite":
            raise ValueError("these vectors are kept in SQLite only")
        self._database = database
        self._most = kept
        self._kept: OrderedDict[tuple[Index, str], _Block] = OrderedDict()
        self._changing = Lock()

    async def add(
        self, index: Index, owner: str, document_id: str, vectors: Sequence[Vector], *, first: int = 0
    ) -> None:
        """Keep vectors of pieces; none of a document that is not there (any more)."""
        if any(len(vector) != 4 * index.dimension for vector in vectors):
            raise ValueError("a vector has another length than those of its index")
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
                connection.execute(_ADD, rows)

        await self._database.write(add)

    async def search(
        self, index: Index, owner: str, vector: Vector, *, document_ids: Collection[str] | None, limit: int
    ) -> list[Hit]:
        """The owner's nearest pieces; every one is compared."""
        if len(vector) != 4 * index.dimension:
            raise ValueError("the question's vector has another length than those of the index")
        if limit < 1 or (document_ids is not None and not document_ids):
            return []
        return await self._database.read(
            partial(self._search, index=index, owner=owner, vector=vector, document_ids=document_ids, limit=limit)
        )

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
        last, count = connection.execute(_LAST, _values(index, owner)).one()
        if count * 4 * index.dimension > self._most:  # looked through as they are read, and not kept
            hits: list[Hit] = []
            for block in _blocks(connection, index, owner, document_ids=document_ids):
                hits = _merged(hits, block.best(question, document_ids, limit), limit)
            return hits
        return self._block(connection, index, owner, last, count).best(question, document_ids, limit)

    def _block(self, connection: Connection, index: Index, owner: str, last: int, count: int) -> _Block:
        """All of the owner's vectors; of those that are known already only the new ones are read."""
        import numpy as np

        with self._changing:
            known = self._kept.get((index, owner))
            if known is not None:
                self._kept.move_to_end((index, owner))
        if known is not None and (known.last, len(known.keys)) == (last, count):
            return known
        if known is not None:
            old = connection.execute(_OLD, _values(index, owner) | {"last": known.last}).scalar_one()
            known = known if old == len(known.keys) else None  # something went
        start = [known] if known is not None else [_Block(0, [], np.empty((0, index.dimension), dtype="<f4"))]
        parts = start + list(_blocks(connection, index, owner, last=start[0].last))
        keys = [key for part in parts for key in part.keys]
        whole = _Block(parts[-1].last, keys, np.concatenate([part.matrix for part in parts]))
        self._keep(index, owner, whole)
        return whole

    def _keep(self, index: Index, owner: str, block: _Block) -> None:
        with self._changing:
            self._kept[index, owner] = block
            self._kept.move_to_end((index, owner))
            while sum(one.matrix.nbytes for one in self._kept.values()) > self._most:
                self._kept.popitem(last=False)

    async def delete(self, owner: str, document_id: str) -> None:
        """Forget the document's vectors; deleting the document itself does so too."""
        values = {"document": document_id, "owner_": owner}
        await self._database.write(lambda connection: connection.execute(_DELETE, values))

    async def drop(self, index: Index) -> None:
        """Forget a whole index, a part at a time: others who write need not wait for all of it."""
        values = {"model_": index.model, "dimension_": index.dimension}
        while await self._database.write(lambda connection: connection.execute(_DROP, values).rowcount) > 0:
            pass

    async def close(self) -> None:
        """Let go of what is kept in memory; the database is its opener's."""
        with self._changing:
            self._kept.clear()


def _values(index: Index, owner: str) -> dict[str, Any]:
    return {"owner_": owner, "model_": index.model, "dimension_": index.dimension}


def _blocks(
    connection: Connection, index: Index, owner: str, *, last: int = 0, document_ids: Collection[str] | None = None
) -> Iterator[_Block]:
    """The owner's vectors, of these documents only, whose rows come after the one numbered `last`."""
    import numpy as np

    query = _ROWS if document_ids is None else _ROWS.where(among(vectors.c.document_id, document_ids, "sqlite"))
    while rows := connection.execute(query, _values(index, owner) | {"last": last}).all():
        last = rows[-1].seq
        matrix = np.frombuffer(b"".join(row.vector for row in rows), dtype="<f4").reshape(-1, index.dimension)
        yield _Block(last, [Key(row.document_id, row.number) for row in rows], matrix)


def _merged(one: list[Hit], other: list[Hit], limit: int) -> list[Hit]:
    return sorted(one + other, key=lambda hit: -hit.score)[:limit]


def _cosine(score: float) -> float:
    return min(max(float(score), -1.0), 1.0)
