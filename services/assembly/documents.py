"""Documents: ingesting them, retrieving from them, and embedding them again.

Nothing is started, and nothing heavy imported, before the first use.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import cast

from chains.core.embedding.cpu_worker import CpuWorker
from chains.embeddings import EmbeddingModel, RequestLimits, make_embedder
from config.groups.documents import DocumentSettings
from config.groups.models import ModelSettings
from config.groups.storage import StorageSettings
from domain.callers import OwnerLimits
from domain.errors import StreamForgeError
from domain.models import Backoff
from parsing.parser import Parser
from services.access.searches import Searches
from services.assembly.storage import open_storage
from services.background import run_until_closed
from services.documents.collection_service import CollectionService
from services.documents.document_service import DocumentService
from services.documents.embedding import Embedding
from services.documents.ingestion import Ingestion, PieceSize, WorkerLimits
from services.documents.reindexing import Reindexing
from services.documents.retrieval import Retriever
from services.documents.vectors import Vectors
from services.storage import Storage
from stores.streams.base import StreamLog
from stores.vectors.base import VectorStore


@dataclass(frozen=True, slots=True)
class Library:
    """What the program does with documents."""

    documents: DocumentService
    collections: CollectionService
    embedding: Embedding
    retriever: Retriever


def open_library(
    storage: Storage,
    streams: StreamLog,
    searches: Searches,
    limits: OwnerLimits,
    stack: AsyncExitStack,
    *,
    documents: DocumentSettings,
    models: ModelSettings,
    chroma_folder: Path,
    fully_confined: bool,
) -> Library:
    """The library; its workers ingest documents until `stack` is closed."""
    cutting = CpuWorker()  # of its own: a long document that is being cut must not keep a question waiting
    stack.push_async_callback(cutting.close)
    embedding, vectors = _open_index(storage, stack, documents, models, chroma_folder)
    ingestion = Ingestion(
        storage,
        streams,
        Parser(fully=fully_confined),
        cutting,
        embedding,
        vectors,
        piece_size=PieceSize(documents.CHUNK_SIZE, documents.CHUNK_OVERLAP),
        limits=WorkerLimits(
            documents.DOCUMENTS_AT_ONCE, lease=documents.DOCUMENT_LEASE, stored_bytes=limits.stored_bytes
        ),
    )
    run_until_closed(stack, ingestion.run(), "ingestion")
    retriever = Retriever(
        storage, embedding, vectors, searches, top_k=documents.RAG_TOP_K, min_score=documents.RAG_MIN_SCORE
    )
    return Library(
        DocumentService(storage, streams, ingestion, vectors, queued=documents.DOCUMENTS_QUEUED, most=limits),
        CollectionService(storage, retriever),
        embedding,
        retriever,
    )


@asynccontextmanager
async def open_reindexing(
    *, documents: DocumentSettings, models: ModelSettings, storage: StorageSettings, chroma_folder: Path
) -> AsyncIterator[Reindexing]:
    """What embeds all documents again, and the little that it needs."""
    async with AsyncExitStack() as stack:
        opened = open_storage(storage, stack)
        embedding, vectors = _open_index(opened, stack, documents, models, chroma_folder)
        yield Reindexing(opened, embedding, vectors)


def _open_index(
    storage: Storage, stack: AsyncExitStack, settings: DocumentSettings, models: ModelSettings, chroma_folder: Path
) -> tuple[Embedding, Vectors]:
    """What embeds, and where vectors are stored."""
    worker = CpuWorker()
    stack.push_async_callback(worker.close)
    choice = EmbeddingModel(settings.EMBEDDING_PROVIDER, settings.EMBEDDING_MODEL, settings.EMBEDDING_BASE_URL)
    limits = RequestLimits(connect=models.MODEL_CONNECT_TIMEOUT, backoff=Backoff(models.MODEL_RETRIES))
    keys, proxy = models.provider_keys(), models.provider_proxy()
    embedding = Embedding(
        partial(make_embedder, choice, limits, worker, keys=keys, proxy=proxy),
        "chroma" if settings.VECTOR_STORE_TYPE == "chroma" else "",
    )
    stack.push_async_callback(embedding.close)
    vectors = Vectors(partial(_open_vectors, settings, chroma_folder, storage))
    stack.push_async_callback(vectors.close)
    return embedding, vectors


_OTHER_DATABASE = (
    "This server cannot store what documents are found by: its VECTOR_STORE_TYPE is for another database than its "
    "own. Its operator must set `pgvector` for PostgreSQL, `sqlite` for a file, or `chroma`."
)


async def _open_vectors(settings: DocumentSettings, chroma_folder: Path, storage: Storage) -> VectorStore:
    kind = settings.VECTOR_STORE_TYPE
    module = await asyncio.to_thread(import_module, f"stores.vectors.{kind}")
    if kind == "chroma":
        url = settings.CHROMA_URL.get_secret_value() if settings.CHROMA_URL else None
        return cast(VectorStore, await module.open_chroma(chroma_folder, url))
    database = (await storage.open()).database
    if (kind == "pgvector") != (database.dialect == "postgresql"):
        raise StreamForgeError("provider_not_configured", _OTHER_DATABASE)
    if kind == "pgvector":
        pgvector = module.PgVectors(database)
        await pgvector.prepare()
        return cast(VectorStore, pgvector)
    return cast(VectorStore, module.SqliteVectors(database))
