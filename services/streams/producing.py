"""The task that writes a source's events into a log, within the limits of size."""

import asyncio
from contextlib import aclosing

from domain.events import SAID, Quoted, Said, Status, Terminal
from domain.models import Finished
from domain.streams import size_of
from domain.usage import Usage
from services.answering.answerer import Source
from services.observing.observer import Observer
from services.streams.production import Production
from stores.streams.base import Appended, Fenced, StreamLog

# A source that never waits must not keep the loop for itself.
_YIELD_EVERY = 16


class Producer:
    """Copies sources into logs. `max_events` counts the terminal event, `max_bytes` what is said."""

    def __init__(self, streams: StreamLog, observer: Observer, *, max_events: int, max_bytes: int) -> None:
        self._log = streams
        self._observer = observer
        self._max_seq = max_events - 1
        self._max_bytes = max_bytes

    async def copy(self, production: Production, source: Source) -> Terminal:
        """Write the source's events until it ends, or a limit is reached; returns the outcome."""
        tail = production.tail
        async with aclosing(source):
            async for event in source:
                if isinstance(event, SAID):
                    if tail.size + size_of(event) > self._max_bytes:
                        return production.failed("log_limit")
                    if production.first_word is None:
                        self._first_word(production)
                elif isinstance(event, Finished):
                    return production.done(event)
                elif isinstance(event, Usage):
                    production.meter.report(event)
                    continue
                if production.seq >= self._max_seq:
                    return production.failed("log_limit")
                if await self._append(production, event) is not Appended.OK:
                    break
                if production.seq % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)
        return tail.outcome or production.failed("provider_incomplete")

    async def tell(self, production: Production, event: Status) -> None:
        """Write what the source, which waits for its model, cannot yield."""
        if production.seq < self._max_seq:
            await self._append(production, event)

    def _first_word(self, production: Production) -> None:
        production.first_word = asyncio.get_running_loop().time()
        ms = production.first_word_ms()
        assert ms is not None
        self._observer.first_word(production.tail.info, ms)

    async def _append(self, production: Production, event: Said | Quoted | Status) -> Appended:
        production.seq += 1
        appended = await self._log.append(production.tail, production.seq, event)
        if appended is Appended.FENCED:
            raise Fenced
        return appended
