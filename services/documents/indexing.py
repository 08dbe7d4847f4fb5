"""The pieces of a document, embedded and put into an index: when it is taken in, and when all are embedded anew."""

from collections.abc import Awaitable, Callable, Sequence

from domain.documents import Chunk, Document, Index
from services.documents.embedding import Embedding
from stores.vectors.base import VectorStore

_BATCH = 64

Tell = Callable[[int], Awaitable[None]]
"""Is told how many pieces are done, before each batch."""


async def put_into_index(
    index: Index, document: Document, chunks: Sequence[Chunk], embedder: Embedding, vectors: VectorStore, tell: Tell
) -> None:
    """Embed the pieces and keep their vectors, a batch at a time, so that all of a long document is never held."""
    for first in range(0, len(chunks), _BATCH):
        await tell(first)
        made = await embedder.embed([chunk.text for chunk in chunks[first : first + _BATCH]])
        await vectors.add(index, document.owner, document.id, made, first=first)
