"""The AI SDK's wire: whatever is said, its parts are in order, and the text is exact."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.events import AnswerEvent, Delta, Done, Failed, Reasoning, Stalled, Started, Switched, Terminal, ToolCall
from domain.messages import new_id
from tests.support.sse import parse
from tests.wires.samples import CANCELLED, DELTAS, DONE, ENDINGS, FAILED, SPENT, STREAM_ID, TROUBLE, encoded, stream

PIECES = st.one_of(
    DELTAS.map(lambda texts: Delta("".join(texts) or "x")),
    DELTAS.map(lambda texts: Reasoning("".join(texts) or "x")),
    st.sampled_from([Stalled(5.0), Switched("big", "small", "cooling")]),
    st.sampled_from([ToolCall(f"call_{number}", "search", '{"a":1}') for number in range(2)]),
)


def parts_of(events: list[AnswerEvent]) -> list[dict[str, Any]]:
    """The parts of a whole stream; the last block is the mark that ends it."""
    messages = parse(b"".join(encoded("ai_sdk", events)))
    assert {message.event for message in messages} <= {"message"}
    assert not any(message.last_event_id for message in messages)
    *parts, done = (message.data for message in messages)
    assert done == "[DONE]"
    return [json.loads(part) for part in parts]


def kinds(events: list[AnswerEvent]) -> list[str]:
    return [part["type"] for part in parts_of(events)]


@settings(deadline=None)
@given(said=st.lists(PIECES, max_size=8), end=ENDINGS)
@example(said=[Delta(text) for text in TROUBLE], end=DONE)
def test_what_is_said_comes_whole_in_parts_that_are_opened_and_closed(said: list[AnswerEvent], end: Terminal) -> None:
    texts = {"text": "", "reasoning": ""}
    opened: str | None = None
    seen: set[str] = set()
    first, second, *parts = parts_of([Started(STREAM_ID, "simulated", 0), *said, end])
    assert (first, second) == ({"type": "start", "messageId": STREAM_ID}, {"type": "start-step"})
    for part in parts:
        kind, _, step = part["type"].partition("-")
        if kind not in texts:
            continue
        if step == "start":
            assert opened is None
            assert part["id"] not in seen
            opened = part["id"]
            seen.add(part["id"])
        else:
            assert part["id"] == opened
            texts[kind] += part.get("delta", "")
            opened = None if step == "end" else opened
    assert opened is None
    assert texts["text"] == "".join(event.text for event in said if isinstance(event, Delta))
    assert texts["reasoning"] == "".join(event.text for event in said if isinstance(event, Reasoning))
    assert None not in [value for part in parts for value in part.values()]


@pytest.mark.parametrize(
    ("end", "last"),
    [
        (DONE, ["finish-step", "finish"]),
        (FAILED, ["error"]),
        (CANCELLED, ["finish-step", "abort", "finish"]),
    ],
)
def test_every_end_closes_the_text_first(end: Terminal, last: list[str]) -> None:
    begun = ["start", "start-step", "text-start", "text-delta", "text-end"]
    assert kinds(stream(["word"], end)) == [*begun, *last]
    assert kinds(stream([], end)) == ["start", "start-step", *last]


@pytest.mark.parametrize(
    ("reason", "told"),
    [("stop", "stop"), ("length", "length"), ("content_filter", "content-filter"), ("tool_calls", "tool-calls")],
)
def test_why_it_finished_is_told_in_the_clients_words(reason: Any, told: str) -> None:
    assert parts_of(stream(["x"], Done(reason, "m", SPENT)))[-1] == {"type": "finish", "finishReason": told}


def test_a_failure_is_told_in_a_sentence_for_people() -> None:
    *_, error = parts_of(stream(["x"], Failed("provider_stalled", SPENT)))
    told = "The model fell silent in the middle of the answer. Send the message again."
    assert error == {"type": "error", "errorText": told}


def test_in_a_session_the_message_has_the_id_that_it_is_stored_under() -> None:
    message_id = new_id()
    begun = Started(STREAM_ID, "simulated", 0, session_id=new_id(), message_id=message_id)
    assert parts_of([begun, DONE])[0]["messageId"] == message_id


def call_of(*pieces: str, end: Terminal = DONE) -> list[dict[str, Any]]:
    """The parts that tell of a call whose arguments came in these pieces."""
    calls = [ToolCall("call_1", None if number else "look_up", piece) for number, piece in enumerate(pieces)]
    return [part for part in parts_of([Started(STREAM_ID, "m", 0), *calls, end]) if "toolCallId" in part]


def test_a_call_comes_piece_by_piece_and_then_whole() -> None:
    begun, *grown, whole = call_of("", '{"a": ', "[1]}")
    assert begun == {"type": "tool-input-start", "toolCallId": "call_1", "toolName": "look_up"}
    assert "".join(part["inputTextDelta"] for part in grown) == '{"a": [1]}'
    available = {"type": "tool-input-available", "toolCallId": "call_1", "toolName": "look_up", "input": {"a": [1]}}
    assert whole == available
    assert call_of("")[-1]["input"] == {}


@pytest.mark.parametrize("end", [FAILED, CANCELLED])
def test_of_an_answer_that_is_not_whole_no_call_is_made(end: Terminal) -> None:
    assert [part["type"] for part in call_of('{"a": 1}', end=end)] == ["tool-input-start", "tool-input-delta"]


def test_a_call_that_is_no_json_is_one_that_failed() -> None:
    *_, wrong = call_of('{"a": ')
    assert (wrong["type"], wrong["input"]) == ("tool-input-error", '{"a": ')
