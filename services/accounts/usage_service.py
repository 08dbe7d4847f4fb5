"""Stores what streams have used, for each owner, and sums it up."""

import asyncio
from time import time

import structlog

from domain.callers import Caller
from domain.errors import StreamForgeError
from domain.streams import model_of, state_of
from domain.usage import By, UsageRecord, UsageSum
from services.accounts.budget import TokenBudget
from services.observing.observer import Ended, Observer
from services.storage import Storage, StorageError

log = structlog.get_logger("streams")

_MAX_WAITING = 10_000
_AT_ONCE = 500
_RETRY_SECONDS = 5.0


class UsageService(Observer):
    """Stores the usage of ended streams.

    Streams in sessions are always stored, the others only with `every_stream`: without authentication they belong to
    no account. Records are written in the background. If the database is away for too long, records are lost, and
    the log says so. The `budget` is told what waits to be stored, and what does not any more.
    """

    def __init__(self, storage: Storage, *, every_stream: bool, budget: TokenBudget | None = None) -> None:
        self._usage = storage.usage
        self._every_stream = every_stream
        self._budget = budget
        self._records: asyncio.Queue[UsageRecord] = asyncio.Queue(_MAX_WAITING)

    def ended(self, end: Ended) -> None:
        info, outcome = end.info, end.outcome
        if info.session_id is None and not self._every_stream:
            return
        record = UsageRecord(
            owner=info.owner,
            key_id=info.key_id,
            stream_id=info.id,
            session_id=info.session_id,
            model=model_of(info, outcome),
            state=state_of(outcome),
            usage=outcome.spent.usage,
            cost=outcome.spent.cost,
            created=time(),
        )
        self.record(record)

    def record(self, record: UsageRecord) -> None:
        """Queue the record to be stored."""
        try:
            self._records.put_nowait(record)
        except asyncio.QueueFull:
            log.error("a usage record is lost: too many are waiting", stream_id=record.stream_id)
            return
        if self._budget is not None:
            self._budget.queued(record)

    async def run(self) -> None:
        """Store queued records for ever, as many at once as have come."""
        while True:
            records = [await self._records.get()]
            while len(records) < _AT_ONCE and not self._records.empty():
                records.append(self._records.get_nowait())
            await self._store(records)
            if self._budget is not None:
                self._budget.stored(records)
            for _ in records:
                self._records.task_done()

    async def flush(self, seconds: float) -> None:
        """Wait until everything is stored, but at most so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._records.join()
        except TimeoutError:
            log.error("usage records are lost: the database does not take them", records=self._records.qsize())

    async def total(
        self, caller: Caller, *, since: str | None, until: str | None, by: frozenset[By], everybody: bool
    ) -> list[UsageSum]:
        """What was used from day to day (ISO dates, both included); by all owners, which needs the scope `admin`."""
        if everybody:
            caller.require("admin")
        return await self._usage.total(None if everybody else caller.id, since=since, until=until, by=by)

    async def _store(self, records: list[UsageRecord]) -> None:
        """Store the records, however long it takes; a record that the database refuses for good is dropped."""
        while True:
            try:
                await self._usage.add(records)
            except StreamForgeError as error:
                log.warning("usage cannot be stored yet", records=len(records), code=error.code)
                await asyncio.sleep(_RETRY_SECONDS)
            except StorageError as error:
                log.warning("usage cannot be stored yet", records=len(records), exc_info=error)
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception as error:  # the database refuses a record, and would again
                if len(records) == 1:
                    log.error("a usage record is lost", stream_id=records[0].stream_id, exc_info=error)
                    return
                for record in records:
                    await self._store([record])
                return
            else:
                return
