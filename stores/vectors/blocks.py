"""Finds the nearest of many vectors in one matrix. numpy is imported on first use, not with this module."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from domain.documents import Hit, PieceKey

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class VectorBlock:
    """Vectors of one owner and index, with the documents and numbers of their pieces.

    `last` is the highest row number among them; `gone` is how often vectors of the owner had been deleted by then.
    """

    last: int
    ids: list[str]
    numbers: list[int]
    matrix: "Matrix"
    gone: int = 0

    @property
    def state(self) -> tuple[int, int]:
        """Equals the database's state unless vectors have been added or deleted since."""
        return self.last, self.gone

    @cached_property
    def documents(self) -> tuple[dict[str, int], "NDArray[np.int32]"]:
        """The documents' ids with an index for each, and for each vector the index of its document."""
        import numpy as np

        places: dict[str, int] = {}
        of = [places.setdefault(document_id, len(places)) for document_id in self.ids]
        return places, np.array(of, dtype=np.int32)

    def best(self, question: "Matrix", document_ids: Collection[str] | None, limit: int) -> list[Hit]:
        """The nearest, best first; among equally near ones, the oldest first."""
        import numpy as np

        # Not `@`: it uses threads made for far larger matrices, which keep the other processors busy in between.
        scores = np.einsum("ij,j->i", self.matrix, question)
        rows = np.arange(len(self.ids))
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
        nearest = zip(rows[order].tolist(), scores[order].tolist(), strict=True)
        return [Hit(PieceKey(self.ids[row], self.numbers[row]), min(max(score, -1.0), 1.0)) for row, score in nearest]


def merged(one: list[Hit], other: list[Hit], limit: int) -> list[Hit]:
    """The best hits of both lists."""
    return sorted(one + other, key=lambda hit: -hit.score)[:limit]
