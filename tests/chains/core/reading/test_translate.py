"""From chunks to words, where an endpoint cannot easily be led."""

from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from chains.core.reading.translate import Translator
from domain.errors import StreamForgeError
from domain.models import Finished
from domain.usage import MAX_TOKENS, Usage


def finished(**metadata: Any) -> Finished:
    answer = Translator()
    answer.rest(AIMessageChunk(content="a"))
    answer.rest(AIMessageChunk(content="", response_metadata=metadata))
    (done,) = answer.finish()
    assert isinstance(done, Finished)
    return done


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"finish_reason": "stop"}, "stop"),
        ({"finish_reason": "length"}, "length"),
        ({"finish_reason": "function_call"}, "tool_calls"),
        ({"finish_reason": "something new"}, "stop"),
        ({"stop_reason": "end_turn"}, "stop"),
        ({"stop_reason": "max_tokens"}, "length"),
        ({"stop_reason": "refusal"}, "content_filter"),
        ({"finish_reason": "COMPLETE"}, "stop"),
        ({"finish_reason": "MAX_TOKENS"}, "length"),
        ({"finish_reason": "TOOL_CALL"}, "tool_calls"),
        ({"done_reason": "length"}, "length"),
        ({"status": "completed"}, "stop"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"status": "incomplete", "incomplete_details": None}, "length"),
    ],
)
def test_every_way_to_say_why_it_ended_is_understood(metadata: dict[str, Any], reason: str) -> None:
    assert finished(**metadata) == Finished(reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({"finish_reason": "error"}, "provider_error"),
        ({"finish_reason": "ERROR"}, "provider_error"),
        ({"status": "failed"}, "provider_error"),
        ({"finish_reason": "TIMEOUT"}, "provider_incomplete"),
        ({"finish_reason": "USER_CANCEL"}, "provider_incomplete"),
        ({"finish_reason": "abort"}, "provider_incomplete"),
        ({"finish_reason": "insufficient_system_resource"}, "provider_incomplete"),
    ],
)
def test_an_answer_that_ends_in_trouble_is_no_success(metadata: dict[str, Any], code: str) -> None:
    with pytest.raises(StreamForgeError) as caught:
        finished(**metadata)
    assert caught.value.code == code


def test_chunks_without_an_end_are_incomplete() -> None:
    with pytest.raises(StreamForgeError) as caught:
        finished(status="in_progress")
    assert caught.value.code == "provider_incomplete"


def test_a_count_that_nothing_could_hold_is_cut_to_what_can_be() -> None:
    spent: Any = {"input_tokens": 10**30, "output_tokens": -1, "total_tokens": 10**30}
    spent["input_token_details"] = {"cache_read": 10**30}
    assert Translator().rest(AIMessageChunk(content="", usage_metadata=spent)) == [
        Usage(MAX_TOKENS, 0, True, MAX_TOKENS)
    ]
