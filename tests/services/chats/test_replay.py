"""What was stored of an answer is told as its stream would have told it."""

from typing import Any

import pytest

from domain.events import Cancelled, Delta, Done, Failed, Started
from domain.messages import Message
from services.chats.replay import replayed


def stored(state: Any, text: str = "Hello", code: str | None = None, **more: Any) -> Message:
    return Message(
        "a", "session", "q", 1, "assistant", state, text, 1, 7.5, stream_id="stream", model="m", code=code, **more
    )


@pytest.mark.parametrize(
    ("answer", "outcome", "told"),
    [
        (stored("complete", finish_reason="length"), Done, ("length", "m")),
        (stored("cancelled", code="requested"), Cancelled, ("requested",)),
        (stored("failed", code="provider_stalled"), Failed, ("provider_stalled",)),
        (stored("interrupted", code="producer_lost"), Failed, ("producer_lost",)),
    ],
)
def test_an_answer_that_has_ended_is_told_whole(answer: Message, outcome: type, told: tuple[str, ...]) -> None:
    tail = replayed("ann", answer)
    assert tail is not None
    begun, said, end = tail.events
    assert begun == Started("stream", "m", 7, "session", "a")
    assert said == Delta("Hello")
    assert type(end) is outcome
    assert tuple(getattr(end, name) for name in outcome.__match_args__[: len(told)]) == told
    assert (tail.ended, tail.info.owner) == (True, "ann")


def test_of_an_answer_without_words_the_end_is_told() -> None:
    tail = replayed("ann", stored("cancelled", "", "requested"))
    assert tail is not None
    assert len(tail.events) == 2


def test_an_answer_that_runs_is_told_where_it_runs() -> None:
    assert replayed("ann", stored("running")) is None
