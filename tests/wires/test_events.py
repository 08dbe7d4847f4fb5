"""The events wire: everything, named, in JSON, with ids (F26, T20)."""

import json
import re

import pytest
from hypothesis import example, given, settings

from domain.errors import ERRORS
from domain.events import Failed, FinishReason, Terminal
from tests.support.effort import examples
from tests.support.sse import Parser, parse
from tests.wires.samples import (
    DELTAS,
    DONE,
    ENDINGS,
    SPENT,
    STREAM_ID,
    TROUBLE,
    TROUBLE_IN_SHORT,
    body,
    encoded,
    pieces,
    stream,
)
from wires.events import gone

_BLOCK = re.compile(rb"event: [a-z_]+\ndata: [^\n]+\n(?:retry: ([0-9]+)\n)?id: ([0-9a-f]{32}-[1-9][0-9]*)\n\n")


@settings(deadline=None, max_examples=examples(30))
@given(deltas=DELTAS)
@example(deltas=TROUBLE_IN_SHORT)
def test_the_json_of_every_delta_gives_its_text_back_exactly_at_every_chunk_size(deltas: list[str]) -> None:
    whole = body("events", deltas)
    names = ["start", *(["delta"] * len(deltas)), "done"]
    ids = [f"{STREAM_ID}-{seq}" for seq in range(1, len(names) + 1)]
    for size in range(1, len(whole) + 1):
        parser = Parser()
        for piece in pieces(whole, size):
            parser.feed(piece)
        assert parser.rest == b""
        assert [message.event for message in parser.messages] == names
        assert [message.last_event_id for message in parser.messages] == ids
        assert [json.loads(message.data)["text"] for message in parser.messages[1:-1]] == deltas


@given(deltas=DELTAS, end=ENDINGS)
@example(deltas=TROUBLE, end=DONE)
def test_every_event_is_exactly_one_block_of_event_data_and_id_in_this_order(deltas: list[str], end: Terminal) -> None:
    for seq, block in enumerate(encoded("events", stream(deltas, end)), 1):
        match = _BLOCK.fullmatch(block)
        assert match, block
        assert match[2].decode() == f"{STREAM_ID}-{seq}"
        assert (match[1] is not None) == (seq == 1)


@given(deltas=DELTAS, end=ENDINGS)
@example(deltas=TROUBLE, end=DONE)
def test_every_byte_is_ascii_and_no_line_can_be_split_by_any_rule(deltas: list[str], end: Terminal) -> None:
    whole = body("events", deltas, end)
    assert whole.isascii()
    assert b"\r" not in whole
    assert whole.decode().splitlines() == whole.decode().split("\n")[:-1]


def test_the_wait_before_a_reconnect_is_one_to_three_seconds_and_differs_from_stream_to_stream() -> None:
    waits = set()
    for _ in range(200):
        parser = Parser()
        parser.feed(body("events", []))
        assert parser.retry is not None
        waits.add(parser.retry)
    assert min(waits) >= 1000
    assert max(waits) <= 3000
    assert len(waits) > 50


def test_the_first_event_says_where_to_resume_and_where_to_cancel() -> None:
    first = json.loads(parse(body("events", []))[0].data)
    assert first["stream_id"] == STREAM_ID
    assert first["resume"] == f"/chat/streams/{STREAM_ID}"
    assert first["cancel"] == f"/chat/streams/{STREAM_ID}/cancel"


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "tool_calls"])
def test_the_end_says_why_the_model_stopped_and_what_it_used(reason: FinishReason) -> None:
    end = json.loads(parse(body("events", [], type(DONE)(reason, "gpt", SPENT)))[-1].data)
    assert end["finish_reason"] == reason
    assert end["model"] == "gpt"
    assert end["usage"] == {"input_tokens": 4, "output_tokens": 6, "exact": False}


@pytest.mark.parametrize("code", ERRORS)
def test_every_failure_tells_its_code_and_what_to_do(code: str) -> None:
    last = parse(body("events", ["half "], Failed(code, SPENT)))[-1]
    error = json.loads(last.data)
    assert last.event == "error"
    assert error["code"] == code
    assert error["message"].endswith(".")
    assert (error["status"], error["retryable"]) == ERRORS[code][:2]
    assert error["usage"]["output_tokens"] == 6


def test_a_stream_that_is_gone_is_one_error_without_an_id_to_come_back_with() -> None:
    block = gone()
    assert block.isascii()
    assert block.count(b"\n\n") == 1
    (message,) = parse(block)
    assert (message.event, message.last_event_id) == ("error", "")
    error = json.loads(message.data)
    assert error["code"] == "stream_gone"
    assert error["retryable"] is False
