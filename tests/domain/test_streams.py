"""A log's own word on whether its stream is refused: the same for the request that started it and any that joins it."""

import pytest

from domain.events import Cancelled, Delta, Done, Event, Failed, Reasoning, Retrying, Stalled, Started, Switched
from domain.streams import RETRY_AFTER, refusal
from domain.usage import NOTHING_USED, Spent

STARTED = Started("9f86d081884c7d659a2feaa0c55ad015", "m", 1763800000)
SPENT = Spent(NOTHING_USED, None)
TOLD: list[Event] = [STARTED, Retrying("provider_error", 2, 0.1), Switched("m", "n", "provider_error"), Stalled(5)]


@pytest.mark.parametrize(
    ("end", "status", "retry_after"),
    [
        (Failed("provider_rate_limited", SPENT, 7), 429, 7),
        (Failed("provider_rate_limited", SPENT), 429, RETRY_AFTER),
        (Failed("provider_unreachable", SPENT), 502, RETRY_AFTER),
        (Failed("provider_auth", SPENT), 502, None),
        (Failed("provider_overloaded", SPENT), 503, RETRY_AFTER),
        (Failed("provider_timeout", SPENT), 504, RETRY_AFTER),
    ],
)
@pytest.mark.parametrize("before", [[STARTED], TOLD], ids=["at once", "after all was tried"])
def test_a_failure_before_the_first_word_is_a_status(
    before: list[Event], end: Failed, status: int, retry_after: int | None
) -> None:
    refused = refusal(STARTED.stream_id, [*before, end])
    assert refused is not None
    assert (refused.code, refused.status, refused.retry_after) == (end.code, status, retry_after)
    assert refused.stream_id == STARTED.stream_id


@pytest.mark.parametrize(
    "events",
    [
        TOLD,
        [STARTED, Delta("half "), Failed("provider_error", SPENT)],
        [STARTED, Reasoning("so "), Failed("provider_error", SPENT)],
        [STARTED, Cancelled("requested", SPENT)],
        [STARTED, Done("stop", "m", SPENT)],
    ],
    ids=["running", "words", "thoughts", "cancelled", "done"],
)
def test_anything_else_is_none(events: list[Event]) -> None:
    assert refusal(STARTED.stream_id, events) is None
