"""Each test on both databases, with a database of its own."""

from collections.abc import AsyncIterator

import pytest_asyncio

from stores.sql.engine.database import Database, open_database


@pytest_asyncio.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with open_database(url) as opened:
        yield opened
