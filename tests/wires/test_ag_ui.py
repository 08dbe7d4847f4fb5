"""AG-UI's wire, held to the models of the protocol's own package."""

import json
from typing import Any

import pytest
from ag_ui.core import Event as Model
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from domain.events import AnswerEvent, Delta, Failed, Reasoning, Started, Terminal, ToolCall
from domain.messages import new_id
from tests.support.sse import parse
from tests.wires.samples import CANCELLED, DONE, ENDINGS, SPENT, STREAM_ID, TROUBLE, encoded, stream
from tests.wires.test_ai_sdk import PIECES
from wires.ag_ui import AgUiEncoder

MODELS: TypeAdapter[Any] = TypeAdapter(Model)


def events_of(events: list[AnswerEvent]) -> list[dict[str, Any]]:
    """The events of a whole stream, each of which the protocol's models take and give back unchanged."""
    body = b"".join(encoded("ag_ui", events))
    assert b"\r" not in body
    found = [json.loads(message.data) for message in parse(body)]
    for each in found:
        assert json.loads(MODELS.validate_python(each).model_dump_json(by_alias=True)) == each
    return found


@settings(deadline=None)
@given(said=st.lists(PIECES, max_size=8), end=ENDINGS)
@example(said=[Delta(text) for text in TROUBLE], end=DONE)
def test_what_is_said_comes_whole_in_messages_that_are_opened_and_closed(
    said: list[AnswerEvent], end: Terminal
) -> None:
    texts = {"TEXT": "", "REASONING": ""}
    opened: str | None = None
    seen: set[str] = set()
    begun, *events = events_of([Started(STREAM_ID, "simulated", 0), *said, end])
    assert begun == {"type": "RUN_STARTED", "threadId": STREAM_ID, "runId": STREAM_ID}
    assert events[-1]["type"] in ("RUN_FINISHED", "RUN_ERROR")
    for event in events[:-1]:
        kind, _, step = event["type"].partition("_MESSAGE_")
        if kind not in texts:
            continue
        if step == "START":
            assert opened is None
            assert event["messageId"] not in seen
            opened = event["messageId"]
            seen.add(event["messageId"])
        else:
            assert event["messageId"] == opened
            texts[kind] += event.get("delta", "")
            opened = None if step == "END" else opened
    assert opened is None
    assert texts["TEXT"] == "".join(event.text for event in said if isinstance(event, Delta))
    assert texts["REASONING"] == "".join(event.text for event in said if isinstance(event, Reasoning))


def test_a_run_that_was_stopped_says_so_and_one_that_failed_says_why() -> None:
    assert events_of(stream(["x"], CANCELLED))[-1]["outcome"] == {"type": "cancelled"}
    assert events_of(stream(["x"], Failed("provider_stalled", SPENT)))[-1] == {
        "type": "RUN_ERROR",
        "message": "The model fell silent in the middle of the answer. Send the message again.",
        "code": "provider_stalled",
    }


@pytest.mark.parametrize("given_ids", [{}, {"thread_id": "mine", "run_id": "first"}])
def test_the_run_and_its_thread_have_the_clients_names_or_ours(given_ids: dict[str, str]) -> None:
    session_id, message_id = new_id(), new_id()
    encoder = AgUiEncoder(STREAM_ID, **given_ids)
    begun = encoder.encode(1, Started(STREAM_ID, "simulated", 0, session_id, message_id))
    said = encoder.encode(2, Delta("x"))
    assert json.loads(parse(begun)[0].data) == {
        "type": "RUN_STARTED",
        "threadId": given_ids.get("thread_id", session_id),
        "runId": given_ids.get("run_id", STREAM_ID),
    }
    assert json.loads(parse(said)[0].data)["messageId"] == message_id


def test_calls_come_side_by_side_and_end_before_the_run() -> None:
    calls = [ToolCall("a", "f", ""), ToolCall("b", "g", "{}"), ToolCall("a", None, '{"x":1}')]
    events = events_of([Started(STREAM_ID, "m", 0), Delta("so "), *calls, Delta("there"), DONE])
    told = [(event["type"], event.get("toolCallId") or event.get("messageId")) for event in events[1:-1]]
    second = f"{STREAM_ID}-2"
    assert told == [
        ("TEXT_MESSAGE_START", STREAM_ID),
        ("TEXT_MESSAGE_CONTENT", STREAM_ID),
        ("TEXT_MESSAGE_END", STREAM_ID),
        ("TOOL_CALL_START", "a"),
        ("TOOL_CALL_START", "b"),
        ("TOOL_CALL_ARGS", "b"),
        ("TOOL_CALL_ARGS", "a"),
        ("TEXT_MESSAGE_START", second),
        ("TEXT_MESSAGE_CONTENT", second),
        ("TEXT_MESSAGE_END", second),
        ("TOOL_CALL_END", "a"),
        ("TOOL_CALL_END", "b"),
    ]


def test_text_after_a_call_is_another_message_than_the_one_that_the_call_is_in() -> None:
    """The client would take it for the beginning of a message that it has."""
    told = events_of([Started(STREAM_ID, "m", 0), ToolCall("a", "f", "{}"), Delta("So."), DONE])
    assert [each["parentMessageId"] for each in told if each["type"] == "TOOL_CALL_START"] == [STREAM_ID]
    assert [each["messageId"] for each in told if each["type"] == "TEXT_MESSAGE_START"] == [f"{STREAM_ID}-2"]


def test_half_a_call_is_never_ended() -> None:
    *_, call, end = events_of([Started(STREAM_ID, "m", 0), ToolCall("a", "f", '{"x'), CANCELLED])
    assert call["type"] == "TOOL_CALL_ARGS"
    assert (end["type"], end["code"]) == ("RUN_ERROR", "stream_cancelled")
