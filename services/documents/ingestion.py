"""Ingests documents: a queue in the database, shared by all processes of a deployment, and a few workers in each.

A document is parsed in a process of its own, split and embedded outside the event loop, and reports progress in a log
of its own. The worker that has it holds a lease on it; if that is lost, with the process or without, another worker
starts over.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import time
from typing import Any, Protocol

import structlog

from domain.documents import Chunk, Document, Index, IngestionJob, Parsed, Work
from domain.errors import ERRORS, StreamForgeError
from domain.events import Cancelled, Done, Failed, Progress, Terminal
from domain.streams import new_stream_id, text_size
from domain.usage import NOTHING_USED, Spent
from services.documents.embedding import Embedding
from services.documents.indexing import put_into_index
from services.documents.progress_log import ProgressLog
from services.storage import Storage
from stores.streams.base import StreamLog
from stores.vectors.base import VectorStore

log = structlog.get_logger("documents")

_LOOK_SECONDS = 2.0
_NOTHING = Spent(NOTHING_USED, None)
_FOR_ANOTHER_SERVER = ("index_mismatch", "documents_unconfined")
"""Errors of this server's settings or system: the document goes back into the queue."""
_GOES_ON = Cancelled("replaced", _NOTHING)  # ends a log, but not its document's ingestion: another log follows
_STOP_SECONDS = 5.0


class Parse(Protocol):
    """Reads the text of a document, in a process of its own."""

    def refuses(self) -> bool:
        """Whether no document is read here."""

    async def parse(
        self, content: bytes, name: str, on_page: Callable[[int, int | None], None] | None = None
    ) -> Parsed:
        """The content; raises a `StreamForgeError` that says why there is none.

        `on_page` is called with the number of pages done and, if known, of all pages.
        """


class Split(Protocol):
    """Cuts texts into pieces, outside the event loop."""

    async def split(self, parsed: Parsed, size: int, overlap: int) -> list[Chunk]:
        """Pieces of at most `size` characters, each repeating up to `overlap` characters of the one before."""


@dataclass(frozen=True, slots=True)
class PieceSize:
    """The length of pieces, and how much of each is repeated in the next one, in characters."""

    size: int
    overlap: int


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """How many documents at once in this process, how often each is tried, and a worker's lease in seconds.

    The documents of one owner may take `stored_bytes`.
    """

    at_once: int = 2
    attempts: int = 3
    lease: float = 30.0
    stored_bytes: int | None = None


class _Gone(Exception):  # noqa: N818 - what has happened, not an error
    """The document was deleted, or another process has it."""


class Ingestion:
    """The workers of this process."""

    def __init__(
        self,
        storage: Storage,
        streams: StreamLog,
        parser: Parse,
        splitter: Split,
        embedder: Embedding,
        vectors: VectorStore,
        *,
        piece_size: PieceSize,
        limits: WorkerLimits,
    ) -> None:
        self._storage = storage
        self._documents = storage.documents
        self._log = streams
        self._parser = parser
        self._splitter = splitter
        self._embedder = embedder
        self._vectors = vectors
        self._piece_size = piece_size
        self._limits = limits
        self._name = new_stream_id()
        self._work = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._trouble: str | None = None

    def require(self) -> None:
        """Raise an error if documents cannot be ingested here."""
        if self._parser.refuses():
            raise StreamForgeError("documents_unconfined")
        self._embedder.require()

    def wake(self) -> None:
        """Look at the queue now: there is something to do."""
        self._work.set()

    async def run(self) -> None:
        """Work until cancelled; documents in progress then go back into the queue."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await self._work.wait()
                self._work.clear()
                if self._storage.opened:
                    await self._begin()
        finally:
            await self._stop()

    async def _begin(self) -> None:
        """Take as many documents as there are free workers."""
        try:
            if self._parser.refuses():
                return
            while len(self._tasks) < self._limits.at_once and await self._documents.pending():
                await self._may_embed()
                for document in await self._documents.hopeless(time(), attempts=self._limits.attempts):
                    await self._forget_vectors(document)  # before it fails, since after that it may be uploaded again
                job = await self._documents.take(self._name, time(), self._limits.lease, attempts=self._limits.attempts)
                if job is None:
                    break
                task = asyncio.create_task(self._take_in(job), name="ingestion")
                self._tasks.add(task)
                task.add_done_callback(self._done)
            self._trouble = None
        except StreamForgeError as error:
            if error.code != self._trouble:  # logged once, not at every look
                log.warning("no document could be started", code=error.code)
            self._trouble = error.code
        except Exception as error:  # a mistake in this program must not stop other documents
            log.error("no document could be started", exc_info=error)

    async def _may_embed(self) -> None:
        """Raise `index_mismatch`, so that documents wait, if the index in use is another model's.

        The model itself is not asked: it may be unreachable.
        """
        kept = await self._documents.index()
        if kept is not None and kept.model != self._embedder.model:
            raise StreamForgeError("index_mismatch")

    async def _index(self) -> Index:
        """The index for the vectors made here; raises `index_mismatch` if another one is in use."""
        index = await self._embedder.index()
        if await self._documents.use(index, time()) != index:
            raise StreamForgeError("index_mismatch")
        return index

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._work.set()  # a worker is free
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a document could not be ingested", exc_info=error)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_SECONDS)

    async def _take_in(self, job: IngestionJob) -> None:
        """Ingest one document, from its bytes to its vectors or to the error that it fails with."""
        document = job.document
        progress = ProgressLog(self._log, document)
        holding = asyncio.create_task(self._hold(document.id, asyncio.current_task()), name="lease")
        try:
            await progress.begin()
            await self._work_on(document, job.content, progress)
            await progress.end(Done("stop", "", _NOTHING))
        except _Gone:
            await progress.end(await self._lost(document))
        except asyncio.CancelledError:
            if holding.done():  # the task that renews the lease has cancelled this one
                await progress.end(await self._lost(document))
                return
            with contextlib.suppress(StreamForgeError):  # if this fails, ingestion continues after the lease has ended
                await self._documents.release(document.id, self._name)
            await progress.end(_GOES_ON)
            raise
        except Exception as error:
            failure = error if isinstance(error, StreamForgeError) else StreamForgeError("internal_error")
            log.warning("a document failed", document_id=document.id, code=failure.code, exc_info=error)
            await progress.end(await self._fail(job, failure))
        finally:
            holding.cancel()

    async def _work_on(self, document: Document, content: bytes, progress: ProgressLog) -> None:
        await self._advance(document, "parsing", stream_id=progress.stream_id)
        await progress.report(Progress("parsing"))
        parsed = await progress.watching(lambda on_page: self._parser.parse(content, document.name, on_page))
        await self._advance(document, "splitting", media_type=parsed.media_type, title=parsed.title, pages=parsed.pages)
        await progress.report(Progress("splitting"))
        chunks = await self._splitter.split(parsed, self._piece_size.size, self._piece_size.overlap)
        await self._count_text(document, chunks)
        await self._advance(document, "embedding")
        index = await self._embed(document, chunks, progress)
        if not await self._documents.complete(document.id, self._name, chunks, time(), index=index):
            raise _Gone

    async def _count_text(self, document: Document, chunks: Sequence[Chunk]) -> None:
        """Count what the pieces take before anything is made of them: a small file may be long when it is read."""
        size, most = sum(text_size(chunk.text) for chunk in chunks), self._limits.stored_bytes
        if not await self._documents.count_text(document.id, self._name, size, most=most):
            raise _Gone

    async def _embed(self, document: Document, chunks: Sequence[Chunk], progress: ProgressLog) -> Index:
        index = await self._index()

        async def report(done: int) -> None:
            await progress.report(Progress("embedding", done, len(chunks)))

        await put_into_index(index, document, chunks, self._embedder, self._vectors, report)
        await report(len(chunks))
        return index

    async def _advance(self, document: Document, state: Work, **found: Any) -> None:
        if not await self._documents.advance(document.id, self._name, state, time(), **found):
            raise _Gone

    async def _hold(self, document_id: str, task: asyncio.Task[None] | None) -> None:
        """Renew the lease while the task works; cancel the task if the lease is lost."""
        while True:
            await asyncio.sleep(self._limits.lease / 3)
            with contextlib.suppress(StreamForgeError):
                if not await self._documents.renew(document_id, self._name, time(), self._limits.lease):
                    if task is not None:
                        task.cancel()
                    return

    async def _fail(self, job: IngestionJob, failure: StreamForgeError) -> Terminal:
        """Fail for good, or only this attempt: errors that may pass are tried again when the lease has ended."""
        code = failure.code
        # The detail of other errors may be for the operator only.
        told = code.startswith("document_") or code == "quota_exceeded"
        detail = failure.detail if told and failure.detail != ERRORS[code].message else None
        document = job.document
        if ERRORS[code].retryable and job.attempt < self._limits.attempts:
            return await self._lost(document)
        try:
            if code in _FOR_ANOTHER_SERVER:
                await self._documents.release(document.id, self._name)
                return _GOES_ON
            reached = await self._documents.get(document.owner, document.id)
            if reached is not None and reached.media_type is not None:  # it was parsed, so it may have vectors
                if not await self._documents.renew(document.id, self._name, time(), self._limits.lease):
                    return _GOES_ON
                await self._forget_vectors(document)  # they would take the places of others, and match nothing
            if not await self._documents.fail(document.id, self._name, code, time(), detail=detail):
                return await self._lost(document)
        except StreamForgeError as error:
            log.warning("a document's failure could not be stored", document_id=document.id, code=error.code)
            return _GOES_ON
        return Failed(code, _NOTHING, detail=detail)

    async def _lost(self, document: Document) -> Terminal:
        """The end of a log whose document was lost: it continues elsewhere or later, or it was deleted.

        If it was deleted, vectors that were stored after that are deleted, too.
        """
        try:
            if await self._documents.get(document.owner, document.id) is not None:
                return _GOES_ON
        except StreamForgeError as error:
            log.warning("a document that was lost could not be looked at", document_id=document.id, code=error.code)
            return _GOES_ON
        await self._forget_vectors(document)
        return Failed("document_not_found", _NOTHING)

    async def _forget_vectors(self, document: Document) -> None:
        try:
            await self._vectors.delete(document.owner, document.id)
        except StreamForgeError as error:
            log.warning("a document's vectors could not be deleted", document_id=document.id, code=error.code)
