"""The container's part that belongs to documents: taking them in, answering from them, embedding them anew.

Nothing is started, and nothing heavy imported, before the first use.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import cast

from chains.core.embedding.cpu_worker import CpuWorker
from chains.embeddings import EmbeddingModel, RequestLimits, make_embedder
from config.settings import Settings
from domain.retries import Backoff
from parsing.parser import Parser
from services.background import run_until_closed
from services.documents.collections import Shelves
from services.documents.document_service import DocumentService
from services.documents.embedding import Embedding
from services.documents.ingestion import Ingestion, PieceSize, WorkerLimits
from services.documents.reindexing import Reindexing
from services.documents.retrieval import Retriever
from services.documents.vectors import Vectors
from services.storage import Storage, Stores
from stores.streams.base import StreamLog
from stores.vectors.base import VectorStore


@dataclass(frozen=True, slots=True)
class Library:
    """What the program does with documents."""

    documents: DocumentService
    shelves: Shelves
    embedding: Embedding
    retriever: Retriever


def open_library(settings: Settings, storage: Storage, streams: StreamLog, stack: AsyncExitStack) -> Library:
    """Put it together, to be closed with `stack`."""
    cutting = CpuWorker()  # of its own: a long document that is being cut must not keep a question waiting
    stack.push_async_callback(cutting.close)
    embedding, vectors = _open_index(settings, storage, stack)
    ingestion = Ingestion(
        storage,
        streams,
        Parser(),
        cutting,
        embedding,
        vectors,
        piece_size=PieceSize(settings.CHUNK_SIZE, settings.CHUNK_OVERLAP),
        limits=WorkerLimits(settings.DOCUMENTS_AT_ONCE, lease=settings.DOCUMENT_LEASE),
    )
    run_until_closed(stack, ingestion.run(), "ingestion")
    retriever = Retriever(storage, embedding, vectors, top_k=settings.RAG_TOP_K, min_score=settings.RAG_MIN_SCORE)
    return Library(
        DocumentService(storage, streams, ingestion, vectors, queued=settings.DOCUMENTS_QUEUED),
        Shelves(storage, retriever),
        embedding,
        retriever,
    )


@asynccontextmanager
async def open_reindexing(settings: Settings) -> AsyncIterator[Reindexing]:
    """What embeds all documents anew, and the little that it needs."""
    async with AsyncExitStack() as stack:
        storage = Storage(settings.database_url())
        stack.push_async_callback(storage.close)
        embedding, vectors = _open_index(settings, storage, stack)
        yield Reindexing(storage, embedding, vectors)


def _open_index(settings: Settings, storage: Storage, stack: AsyncExitStack) -> tuple[Embedding, Vectors]:
    """What embeds, and where vectors are kept."""
    worker = CpuWorker()
    stack.push_async_callback(worker.close)
    choice = EmbeddingModel(settings.EMBEDDING_PROVIDER, settings.EMBEDDING_MODEL, settings.EMBEDDING_BASE_URL)
    limits = RequestLimits(connect=settings.MODEL_CONNECT_TIMEOUT, backoff=Backoff(settings.MODEL_RETRIES))
    keys, proxy = settings.provider_keys(), settings.provider_proxy()
    embedding = Embedding(
        partial(make_embedder, choice, limits, worker, keys=keys, proxy=proxy),
        "chroma" if settings.VECTOR_STORE_TYPE == "chroma" else "",
    )
    stack.push_async_callback(embedding.close)
    vectors = Vectors(storage, partial(_open_vectors, settings))
    stack.push_async_callback(vectors.close)
    return embedding, vectors


async def _open_vectors(settings: Settings, stores: Stores) -> VectorStore:
    kind = settings.VECTOR_STORE_TYPE
    module = await asyncio.to_thread(import_module, f"stores.vectors.{kind}")
    if kind == "chroma":
        url = settings.CHROMA_URL.get_secret_value() if settings.CHROMA_URL else None
        return cast(VectorStore, await module.open_chroma(settings.chroma_folder(), url))
    if kind == "pgvector":
        pgvector = module.PgVectors(stores.database)
        await pgvector.prepare()
        return cast(VectorStore, pgvector)
    return cast(VectorStore, module.SqliteVectors(stores.database))
