"""Finds passages of an owner's documents near a question: by meaning and by words, each ranked, then fused.

Reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009): each ranking adds 1 / (60 + rank) to a passage's score.
"""

import asyncio
from collections.abc import Sequence, Set
from dataclasses import replace
from itertools import islice
from unicodedata import normalize

from domain.documents import Hit, Index, Passage, PieceKey, Retrieval, Vector
from domain.errors import StreamForgeError
from domain.text import COMMON, words_of
from domain.usage import room
from services.access.searches import Searches
from services.documents.embedding import Embedding
from services.storage import Storage
from stores.vectors.base import VectorStore

_RANK = 60
_NEAR = 100
_WORDS = 30


class Retriever:
    """Finds passages."""

    def __init__(
        self,
        storage: Storage,
        embedder: Embedding,
        vectors: VectorStore,
        searches: Searches,
        *,
        top_k: int,
        min_score: float,
    ) -> None:
        self._documents = storage.documents
        self._embedder = embedder
        self._vectors = vectors
        self._searches = searches
        self._top_k = top_k
        self._min_score = min_score

    async def check(self, owner: str, wanted: Retrieval) -> None:
        """Raise `document_not_found` for a document that the owner does not have."""
        if wanted.ids:
            known = await self._documents.known(owner, wanted.ids)
            for number, document_id in enumerate(wanted.ids):
                if document_id not in known:
                    raise StreamForgeError("document_not_found", pointer=f"#/documents/ids/{number}")

    def reserve(self, wanted: Retrieval, chars: int) -> int:
        """Tokens to reserve for passages of `chars` characters each."""
        return (wanted.top_k or self._top_k) * room("x" * chars)

    async def find(
        self, owner: str, question: str, wanted: Retrieval, tokens: int, *, part: bool = False
    ) -> list[Passage]:
        """The passages nearest to the question, best first, of at most `tokens` tokens together; possibly none.

        It takes its turns among the owner's searches; `part` of an answer waits for them, however many there are.
        """
        question = normalize("NFC", question)  # as documents are normalised
        index, ids = await self._documents.scope(owner, ids=wanted.ids, collections=wanted.collections)
        if index is None or ids == []:  # no index yet, or no ready document in the selection
            return []
        (vector, near), worded = await asyncio.gather(
            self._near(index, owner, question, ids, part=part),
            self._worded(owner, question, ids, part=part),
        )
        scores, said = {hit.key: hit.score for hit in near}, set(worded)
        scores |= await self._vectors.scores(index, owner, vector, said - scores.keys())
        most = wanted.top_k or self._top_k
        good = {key for key, score in scores.items() if score >= self._least(wanted, key in said)}
        far = [key for key in worded if key not in good][:most] if wanted.min_score is None else []
        ranked = fuse(near, worded, self._embedder.words_weight)
        chosen = {*islice((key for key in ranked if key in good), most), *far}
        found = await self._documents.passages(owner, [key for key in ranked if key in chosen])
        words = {word for word in words_of(question) if word not in COMMON}
        kept = [passage for passage in found if passage.key in good or _has_all(passage, words)][:most]
        return _within([replace(passage, score=_rounded(scores.get(passage.key))) for passage in kept], tokens)

    async def _near(
        self, index: Index, owner: str, question: str, ids: Sequence[str] | None, *, part: bool
    ) -> tuple[Vector, list[Hit]]:
        """The question's vector, and the pieces nearest to it; raises `index_mismatch` for another model's index."""
        if index.model != self._embedder.model:
            raise StreamForgeError("index_mismatch")
        vector = await self._embedder.embed_query(question)
        if len(vector) != 4 * index.dimension:
            raise StreamForgeError("index_mismatch")
        async with self._searches.turn(owner, part=part):
            return vector, await self._vectors.search(index, owner, vector, document_ids=ids, limit=_NEAR)

    async def _worded(self, owner: str, question: str, ids: Sequence[str] | None, *, part: bool) -> Sequence[PieceKey]:
        """The pieces with words of the question."""
        async with self._searches.turn(owner, part=part):
            return await self._documents.keywords(owner, question, document_ids=ids, limit=_WORDS)

    def _least(self, wanted: Retrieval, worded: bool) -> float:
        """The least cosine that a passage needs. By default, half as much if it contains words of the question."""
        if wanted.min_score is not None:
            return wanted.min_score
        return self._min_score / 2 if worded else self._min_score


def fuse(near: Sequence[Hit], worded: Sequence[PieceKey], weight: float = 1.0) -> list[PieceKey]:
    """Both rankings fused, best first; `weight` is that of the ranking by words, relative to the one by meaning."""
    points: dict[PieceKey, float] = {}
    for ranking, counts in (([hit.key for hit in near], 1.0), (worded, weight)):
        for rank, key in enumerate(ranking, 1):
            points[key] = points.get(key, 0.0) + counts / (_RANK + rank)
    return sorted(points, key=lambda key: -points[key])


def _has_all(passage: Passage, words: Set[str]) -> bool:
    """Whether the passage contains all these words: no embedding model knows the meaning of a serial number."""
    return bool(words) and words <= set(words_of(f"{passage.heading or ''} {passage.text}"))


def _within(passages: Sequence[Passage], tokens: int) -> list[Passage]:
    kept: list[Passage] = []
    for passage in passages:
        tokens -= room(passage.text)
        if tokens < 0 and kept:
            break
        kept.append(passage)
    return kept


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 4)
