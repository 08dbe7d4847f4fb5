import pytest

from domain.models import Backoff


@pytest.mark.parametrize(
    ("attempt", "retry_after", "chance", "delay"),
    [
        (1, None, 0, 0.5),
        (1, None, 1, 1.0),
        (3, None, 1, 4.0),
        (9, None, 1, 20.0),
        (1, 7, 0, 7.0),
        (1, 7, 1, 7.25),
        (1, 86_400, 0, 20.0),
        (5, 1, 1, 16.0),
        (1, 0, 0, 0.5),
    ],
)
def test_a_wait_doubles_varies_heeds_the_provider_and_has_an_end(
    attempt: int, retry_after: int | None, chance: float, delay: float
) -> None:
    assert Backoff(first=1, longest=20).delay(attempt, retry_after, chance) == delay
