"""The log of a document that is being ingested."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from time import time

from domain.documents import Document, Parsed
from domain.errors import StreamForgeError
from domain.events import Progress, Terminal
from domain.streams import INGESTION, StreamInfo, new_stream_id
from stores.streams.base import Appended, Fenced, StreamLog
from stores.streams.tail import Tail

_REPORT_SECONDS = 0.2


class ProgressLog:
    """Reports how far one document is."""

    def __init__(self, streams: StreamLog, document: Document) -> None:
        self._log = streams
        self._owner = document.owner
        self._tail: Tail | None = None
        self._seq = 0
        self.stream_id = new_stream_id()

    async def begin(self) -> None:
        info = StreamInfo(self.stream_id, "", int(time()), "detach", b"\0" * 32, self._owner, kind=INGESTION)
        self._tail = await self._log.open(info)
        self._seq = 1

    async def report(self, progress: Progress) -> None:
        """Append how far it is. If that fails, ingestion goes on without a log."""
        if self._tail is None:
            return
        self._seq += 1
        if await self._log.append(self._tail, self._seq, progress) is not Appended.OK:
            self._tail = None

    async def watching(self, parse: Callable[[Callable[[int, int | None], None]], Awaitable[Parsed]]) -> Parsed:
        """The result of `parse`; the pages that it reports are appended a few times a second."""
        pages: list[tuple[int, int | None]] = []
        reporting = asyncio.create_task(self._report_pages(pages), name="progress")
        try:
            return await parse(lambda done, total: pages.append((done, total)))
        finally:
            reporting.cancel()
            await asyncio.gather(reporting, return_exceptions=True)
            if pages:
                await self.report(Progress("parsing", *pages[-1]))

    async def _report_pages(self, pages: list[tuple[int, int | None]]) -> None:
        while True:
            await asyncio.sleep(_REPORT_SECONDS)
            if pages:
                newest = pages[-1]
                pages.clear()
                await self.report(Progress("parsing", *newest))

    async def end(self, outcome: Terminal) -> None:
        """End the log."""
        if self._tail is None:
            return
        with contextlib.suppress(StreamForgeError, Fenced):
            await self._log.announce(self._tail, await self._log.seal(self._tail, outcome))
