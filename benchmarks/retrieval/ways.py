"""Measures each way to search for a passage, on the real stores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from time import perf_counter

from benchmarks.retrieval.questions import Question
from chains.embeddings import Embedder, words_weight
from domain.documents import Index
from services.documents.retrieval import fuse
from stores.sql.documents.store import DocumentStore
from stores.vectors.base import VectorStore

OWNER = "benchmark"
DEPTH = 50
"""How many passages of each way are fused."""

WAYS = ("keyword", "vector", "hybrid")


@dataclass(frozen=True, slots=True)
class Figures:
    """Recall and mean reciprocal rank, from 0 to 1, and the median time of a search in milliseconds."""

    recall: float
    mrr: float
    p50_ms: float


async def measure(
    documents: DocumentStore, vectors: VectorStore, embedder: Embedder, index: Index, questions: Sequence[Question]
) -> Mapping[str, Figures]:
    """The figures of each way: recall in the first five results, reciprocal rank in the first ten."""
    ranks: dict[str, list[int]] = {way: [] for way in WAYS}
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for question in questions:
        start = perf_counter()
        words = await documents.keywords(OWNER, question.text, document_ids=None, limit=DEPTH)
        between = perf_counter()
        vector = await embedder.embed_query(question.text)
        hits = await vectors.search(index, OWNER, vector, document_ids=None, limit=DEPTH)
        end = perf_counter()
        near = [hit.key for hit in hits]
        for way, keys, seconds in (
            ("keyword", words, between - start),
            ("vector", near, end - between),
            ("hybrid", fuse(hits, words, words_weight(index.model)), end - start),
        ):
            ranks[way].append(next((rank for rank, key in enumerate(keys[:10], 1) if key in question.answers), 0))
            times[way].append(seconds)
    return {
        way: Figures(
            recall=fmean(0 < rank <= 5 for rank in ranks[way]),
            mrr=fmean(1 / rank if rank else 0 for rank in ranks[way]),
            p50_ms=median(times[way]) * 1000,
        )
        for way in WAYS
    }
