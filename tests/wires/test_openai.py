"""OpenAI's wire: chunks of one completion, and an end that no client mistakes."""

import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from domain.errors import ERRORS
from domain.events import AnswerEvent, Cancelled, Done, Failed, Reasoning, Terminal, ToolCall
from domain.streams import StreamInfo
from tests.support.sse import parse
from tests.wires.samples import DELTAS, DONE, ENDINGS, SPENT, STREAM_ID, TROUBLE, body, stream
from wires.openai import OpenAIEncoder, completion

CALLS = [ToolCall("a", "f", ""), ToolCall("b", "g", '{"y"'), ToolCall("a", None, "{}"), ToolCall("b", None, ": 2}")]


def chunks_of(whole: bytes) -> list[dict[str, Any]]:
    """The JSON of every block but the mark of the end, which is the last one."""
    *blocks, last = parse(whole)
    assert last.data == "[DONE]"
    return [json.loads(block.data) for block in blocks]


@settings(deadline=None)
@given(deltas=DELTAS)
@example(deltas=TROUBLE)
def test_the_contents_of_all_chunks_joined_are_the_text(deltas: list[str]) -> None:
    role, *words, end = chunks_of(body("openai", deltas))
    assert role["choices"] == [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
    assert [chunk["choices"][0]["delta"] for chunk in words] == [{"content": text} for text in deltas]
    assert end["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    for chunk in (role, *words, end):
        assert ChatCompletionChunk.model_validate(chunk).to_dict() == chunk
        assert [chunk[name] for name in ("id", "object", "created", "model")] == [
            f"chatcmpl-{STREAM_ID}", "chat.completion.chunk", 1763800000, "simulated",
        ]  # fmt: skip


@given(deltas=DELTAS, end=ENDINGS)
@example(deltas=TROUBLE, end=DONE)
def test_there_is_nothing_but_lines_of_ascii_data(deltas: list[str], end: Terminal) -> None:
    whole = body("openai", deltas, end)
    assert whole.isascii()
    assert re.fullmatch(rb"(data: [^\r\n]+\n\n)+", whole)


@pytest.mark.parametrize("end", [*(Failed(code, SPENT) for code in ERRORS), Cancelled("requested", SPENT)], ids=str)
def test_what_was_not_whole_ends_in_an_error_before_the_mark(end: Failed | Cancelled) -> None:
    *_, error = chunks_of(body("openai", ["half "], end))
    assert error.keys() == {"error"}
    assert error["error"].keys() == {"message", "type", "param", "code"}
    assert error["error"]["message"]
    assert error["error"]["param"] is None


def test_with_usage_every_chunk_has_the_field_and_one_more_fills_it() -> None:
    encoder = OpenAIEncoder(STREAM_ID, usage=True)
    events: list[AnswerEvent] = stream(["one ", "two"])
    events[1:1] = [Reasoning("so "), *CALLS]
    chunks = chunks_of(b"".join(encoder.encode(seq, event) for seq, event in enumerate(events, 1)))
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10}


def test_a_whole_answer_says_what_its_chunks_say() -> None:
    info = StreamInfo(STREAM_ID, "simulated", 1763800000, "cancel", b"", "local")
    events: list[AnswerEvent] = [*stream(["one ", "two"], None), Reasoning("so "), Reasoning("so"), *CALLS]
    answer = json.loads(completion(info, events, Done("tool_calls", "simulated", SPENT)))
    assert ChatCompletion.model_validate(answer).to_dict() == answer
    assert answer["id"] == f"chatcmpl-{STREAM_ID}"
    (choice,) = answer["choices"]
    message = choice["message"]
    assert (message["content"], message["reasoning_content"]) == ("one two", "so so")
    assert [
        (call["id"], call["function"]["name"], call["function"]["arguments"]) for call in message["tool_calls"]
    ] == [
        ("a", "f", "{}"),
        ("b", "g", '{"y": 2}'),
    ]
    assert choice["finish_reason"] == "tool_calls"
    assert answer["usage"]["total_tokens"] == 10


def test_an_answer_that_only_calls_has_no_content_and_one_without_a_word_an_empty_one() -> None:
    info = StreamInfo(STREAM_ID, "simulated", 1763800000, "cancel", b"", "local")
    called = json.loads(completion(info, [*stream([], None), *CALLS], Done("tool_calls", "simulated", SPENT)))
    assert called["choices"][0]["message"]["content"] is None
    silent = json.loads(completion(info, stream([], None), DONE))
    assert silent["choices"][0]["message"]["content"] == ""
