"""What was used comes into the database in the background, whatever one record or the database has."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from domain.callers import LOCAL
from domain.events import Done
from domain.messages import new_id
from domain.streams import StreamInfo, digest, new_stream_id
from domain.usage import Spent, Usage, UsageSum
from services.accounts.usage_service import UsageService
from services.observing.observer import Ended
from services.storage import Storage, StorageError, Stores
from tests.stores.streams.logs import until

USED = Usage(1, 2, exact=True)


class Watched(Storage):
    """Counts how often it could not be opened."""

    refused = 0

    async def open(self) -> Stores:
        try:
            return await super().open()
        except StorageError:
            self.refused += 1
            raise


@asynccontextmanager
async def working(folder: Path) -> AsyncIterator[UsageService]:
    async with using(Storage(f"sqlite:///{folder / 'data' / 'streamforge.db'}")) as usage:
        yield usage


@asynccontextmanager
async def using(storage: Storage) -> AsyncIterator[UsageService]:
    usage = UsageService(storage, every_stream=False)
    task = asyncio.create_task(usage.run())
    try:
        yield usage
    finally:
        task.cancel()
        await storage.close()


def record(usage: UsageService, used: Usage = USED, session_id: str | None = None) -> None:
    info = StreamInfo(new_stream_id(), "m", 1, "detach", digest("x"), LOCAL.id, session_id=session_id or new_id())
    usage.ended(Ended(info, Done("stop", "m", Spent(used, None)), 1))


async def sums(usage: UsageService) -> list[UsageSum]:
    await usage.flush(20)
    return await usage.total(LOCAL, since=None, until=None, by=frozenset(), everybody=False)


async def test_a_record_that_no_database_takes_holds_up_no_other(tmp_path: Path) -> None:
    async with working(tmp_path) as usage:
        for used in (USED, replace(USED, input_tokens=10**30), USED):
            record(usage, used)
        (total,) = await sums(usage)
    assert (total.streams, total.output_tokens) == (2, 4)


async def test_a_database_that_cannot_be_opened_yet_loses_no_record(tmp_path: Path) -> None:
    file = tmp_path / "data" / "streamforge.db"
    file.parent.mkdir()
    file.write_text("This is no database.")
    storage = Watched(f"sqlite:///{file}")
    async with using(storage) as usage:
        for _ in range(2):
            record(usage)
        await until(lambda: storage.refused)
        file.unlink()
        (total,) = await sums(usage)
    assert total.streams == 2


async def test_many_records_are_all_stored(tmp_path: Path) -> None:
    async with working(tmp_path) as usage:
        for _ in range(1_200):
            record(usage)
        (total,) = await sums(usage)
    assert total.streams == 1_200


async def test_a_stream_of_nobody_leaves_nothing(tmp_path: Path) -> None:
    async with working(tmp_path) as usage:
        info = StreamInfo(new_stream_id(), "m", 1, "detach", digest("x"), LOCAL.id)
        usage.ended(Ended(info, Done("stop", "m", Spent(USED, None)), 1))
        await usage.flush(20)
    assert not (tmp_path / "data").exists()
