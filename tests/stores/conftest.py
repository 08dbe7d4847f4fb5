"""The servers that tests of stores need: one of each kind for all of them."""

import pytest

from tests.stores.streams.logs import Kind


@pytest.fixture(params=["memory", "valkey", "redis"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of stream log in turn."""
    name: str = request.param
    return Kind(None if name == "memory" else request.getfixturevalue(name))
