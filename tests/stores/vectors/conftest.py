"""Each test of the contract on every store of vectors, each time an empty one."""

from pathlib import Path

import pytest

from tests.stores.vectors.places import Place, SqlPlace


@pytest.fixture(params=["sqlite", "pgvector"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where vectors are kept."""
    if request.param == "sqlite":
        return SqlPlace(f"sqlite:///{tmp_path / 'streamforge.db'}")
    return SqlPlace(request.getfixturevalue("postgres_url"))
