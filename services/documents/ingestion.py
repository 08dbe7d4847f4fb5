"""Taking documents in: a queue in the database, which all processes of a deployment share, and a few workers here.

A document is parsed in a process of its own, split and embedded off the loop, and told of in a log of its own. Whoever
works on one holds a lease on it; if that is lost, with the process or without, another one begins anew.
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
from domain.streams import new_stream_id
from domain.usage import NOTHING_USED, Spent
from services.documents.embedding import Embedding
from services.documents.indexing import put_into_index
from services.documents.progress_log import ProgressLog
from services.storage import Storage, Stores
from stores.streams.base import StreamLog
from stores.vectors.base import VectorStore

log = structlog.get_logger("documents")

_LOOK_SECONDS = 2.0
_NOTHING = Spent(NOTHING_USED, None)
_GOES_ON = Cancelled("replaced", _NOTHING)  # the end of a log whose document has not come to its own: another follows
_STOP_SECONDS = 5.0


class Parse(Protocol):
    """Reads what is in a document, in a process of its own."""

    async def parse(
        self, content: bytes, name: str, on_page: Callable[[int, int | None], None] | None = None
    ) -> Parsed:
        """What was found; `StreamForgeError` says why nothing was. `on_page` is told pages done, and pages in all."""


class Split(Protocol):
    """Cuts texts into pieces, off the loop."""

    async def split(self, parsed: Parsed, size: int, overlap: int) -> list[Chunk]:
        """The pieces, of `size` characters at most, each repeating up to `overlap` of the one before."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How long pieces are, and how much of each is in the next one, in characters."""

    size: int
    overlap: int


@dataclass(frozen=True, slots=True)
class Effort:
    """How many documents at once here, how often each is tried, and for how many seconds a worker may be silent."""

    at_once: int = 2
    attempts: int = 3
    lease: float = 30.0


class _Gone(Exception):  # noqa: N818 - what has happened, not that it is an error
    """The document was deleted, or another process works on it."""


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
        cut: Cut,
        effort: Effort,
    ) -> None:
        self._storage = storage
        self._log = streams
        self._parser = parser
        self._splitter = splitter
        self._embedder = embedder
        self._vectors = vectors
        self._cut = cut
        self._effort = effort
        self._name = new_stream_id()
        self._work = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._trouble: str | None = None

    def require(self) -> None:
        """Refuse documents that could not be taken in here."""
        self._embedder.require()

    def wake(self) -> None:
        """There is something to do."""
        self._work.set()

    async def run(self) -> None:
        """Work until cancelled; what is begun then goes back into the queue."""
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
        """Take as many documents as there is room for."""
        try:
            stores = await self._storage.open()
            while len(self._tasks) < self._effort.at_once and await stores.documents.pending():
                await self._may_embed(stores)
                for document in await stores.documents.hopeless(time(), attempts=self._effort.attempts):
                    await self._forget_vectors(document)  # before it fails, for then it may be sent again
                job = await stores.documents.take(
                    self._name, time(), self._effort.lease, attempts=self._effort.attempts
                )
                if job is None:
                    break
                task = asyncio.create_task(self._take_in(stores, job), name="ingestion")
                self._tasks.add(task)
                task.add_done_callback(self._done)
            self._trouble = None
        except StreamForgeError as error:
            if error.code != self._trouble:  # told once, and not every time that one looks
                log.warning("no document could be begun", code=error.code)
            self._trouble = error.code
        except Exception as error:  # our own mistake: others may be begun all the same
            log.error("no document could be begun", exc_info=error)

    async def _may_embed(self, stores: Stores) -> None:
        """Let documents wait where another model's index answers. The model itself is not asked: it may be away."""
        kept = await stores.documents.index()
        if kept is not None and kept.model != self._embedder.model:
            raise StreamForgeError("index_mismatch")

    async def _index(self, stores: Stores) -> Index:
        """Where vectors belong that are made here, if it is what answers."""
        index = await self._embedder.index()
        if await stores.documents.use(index, time()) != index:
            raise StreamForgeError("index_mismatch")
        return index

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._work.set()  # there is room for another one
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a document could not be taken in", exc_info=error)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_SECONDS)

    async def _take_in(self, stores: Stores, job: IngestionJob) -> None:
        """One document, from its bytes to its vectors, or to what it failed with."""
        document = job.document
        way = ProgressLog(self._log, document)
        holding = asyncio.create_task(self._hold(stores, document.id, asyncio.current_task()), name="lease")
        try:
            await way.begin()
            await self._work_on(stores, document, job.content, way)
            await way.end(Done("stop", "", _NOTHING))
        except _Gone:
            await way.end(await self._lost(stores, document))
        except asyncio.CancelledError:
            if holding.done():  # it is this that has cancelled us
                await way.end(await self._lost(stores, document))
                return
            with contextlib.suppress(StreamForgeError):  # then it goes on when the lease has run out
                await stores.documents.release(document.id, self._name)
            await way.end(_GOES_ON)
            raise
        except Exception as error:
            failure = error if isinstance(error, StreamForgeError) else StreamForgeError("internal_error")
            log.warning("a document failed", document_id=document.id, code=failure.code, exc_info=error)
            await way.end(await self._fail(stores, job, failure))
        finally:
            holding.cancel()

    async def _work_on(self, stores: Stores, document: Document, content: bytes, way: ProgressLog) -> None:
        await self._advance(stores, document, "parsing", stream_id=way.stream_id)
        await way.tell(Progress("parsing"))
        parsed = await way.watching(lambda on_page: self._parser.parse(content, document.name, on_page))
        await self._advance(
            stores, document, "splitting", media_type=parsed.media_type, title=parsed.title, pages=parsed.pages
        )
        await way.tell(Progress("splitting"))
        chunks = await self._splitter.split(parsed, self._cut.size, self._cut.overlap)
        await self._advance(stores, document, "embedding")
        index = await self._embed(stores, document, chunks, way)
        if not await stores.documents.complete(document.id, self._name, chunks, time(), index=index):
            raise _Gone

    async def _embed(self, stores: Stores, document: Document, chunks: Sequence[Chunk], way: ProgressLog) -> Index:
        index = await self._index(stores)

        async def tell(done: int) -> None:
            await way.tell(Progress("embedding", done, len(chunks)))

        await put_into_index(index, document, chunks, self._embedder, self._vectors, tell)
        await tell(len(chunks))
        return index

    async def _advance(self, stores: Stores, document: Document, state: Work, **found: Any) -> None:
        if not await stores.documents.advance(document.id, self._name, state, time(), **found):
            raise _Gone

    async def _hold(self, stores: Stores, document_id: str, task: asyncio.Task[None] | None) -> None:
        """Renew the lease while there is work; where it is lost, the work is no longer ours."""
        while True:
            await asyncio.sleep(self._effort.lease / 3)
            with contextlib.suppress(StreamForgeError):
                if not await stores.documents.renew(document_id, self._name, time(), self._effort.lease):
                    if task is not None:
                        task.cancel()
                    return

    async def _fail(self, stores: Stores, job: IngestionJob, failure: StreamForgeError) -> Terminal:
        """Fail for good, or for now: what may be better in a while is tried again, when the lease has run out."""
        code = failure.code
        # What more there is to say of others may be the operator's alone.
        detail = failure.detail if code.startswith("document_") and failure.detail != ERRORS[code].message else None
        document = job.document
        if ERRORS[code].retryable and job.attempt < self._effort.attempts:
            return await self._lost(stores, document)
        try:
            if code == "index_mismatch":  # it waits for a server with the settings of the index
                await stores.documents.release(document.id, self._name)
                return _GOES_ON
            reached = await stores.documents.get(document.owner, document.id)
            if reached is not None and reached.media_type is not None:  # it was parsed: it may have vectors
                if not await stores.documents.renew(document.id, self._name, time(), self._effort.lease):
                    return _GOES_ON
                await self._forget_vectors(document)  # which would take the places of others, found by nobody
            if not await stores.documents.fail(document.id, self._name, code, time(), detail=detail):
                return await self._lost(stores, document)
        except StreamForgeError as error:
            log.warning("a document's failure could not be stored", document_id=document.id, code=error.code)
            return _GOES_ON
        return Failed(code, _NOTHING, detail=detail)

    async def _lost(self, stores: Stores, document: Document) -> Terminal:
        """It goes on elsewhere, or later; or it was deleted, and vectors of it that came afterwards have to go, too."""
        try:
            if await stores.documents.get(document.owner, document.id) is not None:
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
