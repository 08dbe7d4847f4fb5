"""Each test of the contract on every store of vectors, each time an empty one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.stores.vectors.places import Place, SqlPlace
from tests.support.chroma import ChromaPlace, ChromaServer, chroma_server, installed


@pytest.fixture(scope="session")
def chroma() -> Iterator[ChromaServer]:
    """A Chroma server that all tests share."""
    with chroma_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "pgvector", "chroma", "chroma server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where vectors are kept."""
    if request.param == "sqlite":
        return SqlPlace(f"sqlite:///{tmp_path / 'streamforge.db'}")
    if request.param == "pgvector":
        return SqlPlace(request.getfixturevalue("postgres_url"))
    if not installed():
        missing("Chroma")
    if request.param == "chroma":
        return ChromaPlace(tmp_path / "chroma", None)
    server: ChromaServer = request.getfixturevalue("chroma")
    server.clear()
    return ChromaPlace(tmp_path, server.url)
