"""One server under attack for each process of the tests."""

from collections.abc import Iterator

import pytest

from tests.security.fuzzing.good import Good, goods
from tests.support.siege import Siege, siege


@pytest.fixture(scope="session")
def besieged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    with siege(tmp_path_factory.mktemp("besieged")) as begun:
        yield begun
        begun.victim_is_well()
        begun.look_at_the_log()


@pytest.fixture(scope="session")
def good(besieged: Siege) -> list[Good]:
    return goods(besieged)
