"""Embeds the pieces of a document and stores them in an index, for a new document and when reindexing."""

from collections.abc import Awaitable, Callable, Sequence

from domain.documents import Chunk, Document, Index
from services.documents.embedding import Embedding
from stores.vectors.base import VectorStore

_BATCH = 64

OnBatch = Callable[[int], Awaitable[None]]
"""Called before each batch, with the number of pieces done."""


async def put_into_index(
    index: Index,
    document: Document,
    chunks: Sequence[Chunk],
    embedder: Embedding,
    vectors: VectorStore,
    on_batch: OnBatch,
) -> None:
    """Embed the pieces and store their vectors, one batch at a time: those of a long document never fill the memory."""
    for first in range(0, len(chunks), _BATCH):
        await on_batch(first)
        made = await embedder.embed([chunk.text for chunk in chunks[first : first + _BATCH]])
        await vectors.add(index, document.owner, document.id, made, first=first)
