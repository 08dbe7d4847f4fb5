"""A stream's place in a session, whatever becomes of the stream, of the database, and of those who wait."""

import asyncio
import gc
import sqlite3
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from chains.core.llm_setup import LLMSetup
from chains.core.local.server import LocalServer
from chains.core.tracing import Tracing
from domain.callers import LOCAL
from domain.events import Delta, Done, Failed
from domain.messages import Busy, new_id
from domain.streams import Ask, Place, StreamInfo, digest, new_stream_id
from domain.usage import Spent, Usage
from services.accounts.prices import Prices
from services.accounts.usage_service import UsageService
from services.chain_service import ChainService
from services.conversations.scribe import Scribe
from services.conversations.turns import Conversations
from services.storage import Storage
from stores.streams.tail import Tail
from tests.support.catalogue import NAMED

SPENT = Spent(Usage(1, 1, exact=True), None)
DONE = Done("stop", "test", SPENT)


class House:
    """Conversations on a database of their own, which a test may harm."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "streamforge.db"
        self.storage = Storage(f"sqlite:///{self.file}")
        usage = UsageService(self.storage, every_stream=False)
        chains = ChainService(LLMSetup({}, None, LocalServer(), Tracing(None)))
        scribe = Scribe(self.storage, chains, lambda _: None, Prices(), usage)
        self.conversations = Conversations(self.storage, scribe, memory_tokens=1_000, save_seconds=0.5)

    async def begun(self, place: Place) -> Tail:
        """A stream that has its place, and has said a word."""
        info = StreamInfo(
            new_stream_id(), "test", 1, "detach", digest("x"), LOCAL.id, session_id=place.session_id or new_id(),
            message_id=new_id(),
        )  # fmt: skip
        await self.conversations.begin(info, place, Ask("x"), [NAMED])
        tail = Tail(info)
        tail.publish(Delta("word"))
        return tail

    def harm(self, *statements: str) -> None:
        """Do something to the database that no migration would."""
        with closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self, table: str) -> int:
        with closing(sqlite3.connect(self.file)) as connection:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    opened = House(folder)
    try:
        yield opened
    finally:
        await opened.storage.close()


async def test_nothing_is_held_of_a_stream_that_ends_without_being_saved(tmp_path: Path) -> None:
    """As one that another process takes over."""
    async with house(tmp_path) as parts:
        tail = await parts.begun(Place(new=True))
        info = weakref.ref(tail.info)
        del tail
        gc.collect()
        assert info() is None


async def test_what_no_database_takes_ends_as_not_saved_and_not_never(tmp_path: Path) -> None:
    async with house(tmp_path) as parts:
        tail = await parts.begun(Place(new=True))
        parts.harm("ALTER TABLE messages RENAME TO elsewhere")
        async with asyncio.timeout(20):
            assert await parts.conversations.save(tail, DONE, None, None) == Failed("not_saved", SPENT)
        parts.harm("ALTER TABLE elsewhere RENAME TO messages")
        assert await parts.conversations.save(tail, DONE, None, None) == DONE


async def test_a_refusal_stays_what_it_was_where_nothing_can_be_withdrawn(tmp_path: Path) -> None:
    async with house(tmp_path) as parts:
        tail = await parts.begun(Place(new=True))
        parts.harm("ALTER TABLE messages RENAME TO elsewhere")
        await parts.conversations.withdraw(tail.info, opened=True)


async def test_a_session_that_somebody_has_used_since_is_not_withdrawn(tmp_path: Path) -> None:
    async with house(tmp_path) as parts:
        refused = await parts.begun(Place(new=True))
        refused.events.clear()
        await parts.conversations.save(refused, Failed("provider_error", SPENT), None, None)
        later = await parts.begun(Place(refused.info.session_id))
        await parts.conversations.save(later, DONE, None, None)
        await parts.conversations.withdraw(refused.info, opened=True)
        assert (parts.rows("sessions"), parts.rows("messages")) == (1, 4)
        await parts.conversations.withdraw(later.info, opened=False)
        assert parts.rows("messages") == 4, "it has words"


async def test_who_finds_a_session_busy_is_told_by_what(tmp_path: Path) -> None:
    async with house(tmp_path) as parts:
        tail = await parts.begun(Place(new=True))
        with pytest.raises(Busy) as caught:
            await parts.begun(Place(tail.info.session_id))
        assert caught.value.stream_id == tail.info.id
        assert parts.rows("messages") == 2
