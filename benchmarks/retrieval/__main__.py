"""`python -m benchmarks.retrieval [--docs FOLDER] [--model NAME ...] [--store NAME ...]`: measures, prints the table.

The documents are those of Debian's package python3.11-doc (`apt-get install python3.11-doc`, or unpack it anywhere).
`pgvector` needs an empty database in DATABASE_URL; `chroma` needs `make chroma`, or a CHROMA_URL.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter, time
from uuid import uuid4

from benchmarks.retrieval.questions import Page, Question, pages
from benchmarks.retrieval.ways import OWNER, WAYS, measure
from chains.core.embedding.cpu_worker import CpuWorker
from chains.core.embedding.local_embeddings import MODELS
from chains.embeddings import Embedder, EmbeddingModel, RequestLimits, make_embedder
from domain.documents import Chunk, Index, PieceKey, Vector
from stores.sql.documents.store import DocumentStore
from stores.sql.engine.database import Database, open_database
from stores.vectors.base import VectorStore

DOCS = Path("/usr/share/doc/python3.11/html")
STORES = ("sqlite", "pgvector", "chroma")
SIZE, OVERLAP = 1_000, 100

Pieces = dict[str, tuple[Page, list[Chunk]]]


async def split(found: Sequence[Page], worker: CpuWorker) -> tuple[Pieces, list[Question]]:
    """The pages' pieces by document, and the questions with the pieces that answer them."""
    pieces: Pieces = {}
    questions: list[Question] = []
    for page in found:
        document_id = uuid4().hex
        chunks = await worker.split(page.parsed, SIZE, OVERLAP)
        pieces[document_id] = (page, chunks)
        start = 0
        for section, question in zip(page.parsed.sections, page.questions, strict=True):
            end = start + len(section.text)
            inside = frozenset(PieceKey(document_id, chunk.number) for chunk in chunks if start <= chunk.start < end)
            if question is not None and inside:
                questions.append(Question(question, inside))
            start = end + 2  # the empty line between two sections
    return pieces, questions


async def keep(documents: DocumentStore, pieces: Pieces) -> None:
    """Store the pieces for keyword search."""
    now = time()
    for document_id, (page, _) in pieces.items():
        await documents.add(OWNER, document_id, page.name, b"", document_id, (), now, limit=len(pieces))
    while (job := await documents.take("benchmark", now, 3_600, attempts=1)) is not None:
        await documents.complete(job.document.id, "benchmark", pieces[job.document.id][1], now)


@asynccontextmanager
async def opened(store: str, folder: Path, database: Database) -> AsyncIterator[VectorStore]:
    """Open the vector store with this name."""
    vectors: VectorStore
    if store == "chroma":
        from stores.vectors.chroma import open_chroma

        vectors = await open_chroma(folder / "chroma", os.environ.get("CHROMA_URL"))
    elif store == "pgvector":
        from stores.vectors.pgvector import PgVectors

        vectors = PgVectors(database)
    else:
        from stores.vectors.sqlite import SqliteVectors

        vectors = SqliteVectors(database)
    try:
        yield vectors
    finally:
        await vectors.close()


async def embed(embedder: Embedder, pieces: Pieces) -> tuple[dict[str, list[Vector]], float]:
    """The vectors of each document, and the number of pieces per second."""
    await embedder.embed_query("The first question loads the model.")
    start = perf_counter()
    found = {document_id: await embedder.embed([c.text for c in chunks]) for document_id, (_, chunks) in pieces.items()}
    return found, sum(map(len, found.values())) / (perf_counter() - start)


async def run(docs: Path, models: Sequence[str], stores: Sequence[str]) -> None:
    worker = CpuWorker()
    try:
        pieces, questions = await split(pages(docs), worker)
        count = sum(len(chunks) for _, chunks in pieces.values())
        print(f"{len(pieces)} documents, {count} passages, {len(questions)} questions.\n")
        print("| model | store | way | recall@5 | MRR@10 | p50, ms |\n| --- | --- | --- | --- | --- | --- |")
        for model in models:
            embedder = make_embedder(EmbeddingModel("local", model), RequestLimits(), worker, keys={})
            vectors, rate = await embed(embedder, pieces)
            print(f"{model} embedded {rate:.0f} passages per second.", file=sys.stderr)
            for store in stores:
                await rows(store, embedder, await embedder.index(), pieces, vectors, questions)
    finally:
        await worker.close()


async def rows(
    store: str,
    embedder: Embedder,
    index: Index,
    pieces: Pieces,
    found: dict[str, list[Vector]],
    questions: Sequence[Question],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = os.environ["DATABASE_URL"] if store == "pgvector" else f"sqlite:///{folder}/benchmark.db"
        async with open_database(url) as database, opened(store, Path(folder), database) as vectors:
            documents = DocumentStore(database)
            await keep(documents, pieces)
            for document_id, some in found.items():
                await vectors.add(index, OWNER, document_id, some)
            figures = await measure(documents, vectors, embedder, index, questions)
            await documents.delete_all(OWNER)
    for way in WAYS:
        at = figures[way]
        print(f"| {index.model} | {store} | {way} | {at.recall:.3f} | {at.mrr:.3f} | {at.p50_ms:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.retrieval", description="How often the right passage is found."
    )
    parser.add_argument("--docs", type=Path, default=DOCS, help=f"Python's documentation in HTML, by default {DOCS}")
    parser.add_argument("--model", action="append", choices=list(MODELS), help="by default wordllama")
    parser.add_argument("--store", action="append", choices=STORES, help="by default sqlite")
    args = parser.parse_args()
    if not (args.docs / "faq").is_dir():
        parser.error(f"{args.docs} has no faq: apt-get install python3.11-doc, or name the folder with --docs")
    asyncio.run(run(args.docs, args.model or ["wordllama"], args.store or ["sqlite"]))


if __name__ == "__main__":
    main()
