"""Each test on both databases, with a database of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from stores.sql.engine.database import Database, open_database


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database that is up to date, or becomes it."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'data' / 'streamforge.db'}"
        return
    yield request.getfixturevalue("postgres_url")


@pytest_asyncio.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with open_database(url) as opened:
        yield opened
