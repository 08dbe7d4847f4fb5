"""The text wire: `data:` blocks that joined are the answer (T20)."""

import json

import pytest
from hypothesis import example, given, settings

from domain.events import Terminal
from tests.support.sse import Message, Parser, parse, text_of
from tests.wires.samples import (
    CANCELLED,
    DELTAS,
    DONE,
    ENDINGS,
    FAILED,
    TROUBLE,
    TROUBLE_IN_SHORT,
    blocks,
    body,
    encoded,
    pieces,
    stream,
    with_lf,
)
from wires.text import seq_after


def read(whole: bytes, size: int) -> list[Message]:
    parser = Parser()
    for piece in pieces(whole, size):
        parser.feed(piece)
    assert parser.rest == b""
    return parser.messages


@settings(deadline=None)
@given(deltas=DELTAS)
@example(deltas=TROUBLE_IN_SHORT)
def test_the_data_of_all_events_joined_is_the_text_with_its_line_ends_as_lf_at_every_chunk_size(
    deltas: list[str],
) -> None:
    whole = body("text", deltas)
    for size in range(1, len(whole) + 1):
        assert "".join(message.data for message in read(whole, size)) == with_lf("".join(deltas))


@settings(deadline=None)
@given(deltas=DELTAS, end=ENDINGS)
@example(deltas=TROUBLE, end=DONE)
def test_one_delta_is_one_block_however_the_stream_ends(deltas: list[str], end: Terminal) -> None:
    written = encoded("text", stream(deltas, end))
    assert written[0] == b""
    for block in written[1 : 1 + len(deltas)]:
        assert blocks(block) == [block]
        assert len(parse(block)) == 1
    assert len(parse(b"".join(written))) == len(deltas) + (end is not DONE)


@settings(deadline=None)
@given(deltas=DELTAS, end=ENDINGS)
@example(deltas=TROUBLE, end=DONE)
def test_no_byte_is_a_cr_and_the_last_ones_are_a_blank_line(deltas: list[str], end: Terminal) -> None:
    whole = body("text", deltas, end)
    assert b"\r" not in whole
    assert whole == b"" or whole.endswith(b"\n\n")


@settings(deadline=None)
@given(deltas=DELTAS)
@example(deltas=TROUBLE)
def test_a_client_that_only_splits_on_blank_lines_reads_the_text(deltas: list[str]) -> None:
    text = ""
    for block in body("text", deltas).decode().split("\n\n"):
        if block:
            text += "\n".join(line.removeprefix("data: ") for line in block.split("\n"))
    assert text == with_lf("".join(deltas))


@settings(deadline=None)
@given(deltas=DELTAS)
@example(deltas=TROUBLE)
def test_success_names_no_event_and_gives_no_id(deltas: list[str]) -> None:
    assert all((message.event, message.last_event_id) == ("message", "") for message in parse(body("text", deltas)))


@pytest.mark.parametrize(
    ("end", "name", "field", "value"),
    [(FAILED, "error", "code", "provider_timeout"), (CANCELLED, "cancelled", "reason", "requested")],
)
@settings(deadline=None)
@given(deltas=DELTAS)
@example(deltas=TROUBLE)
def test_failure_and_cancel_end_in_exactly_one_named_event(
    end: Terminal, name: str, field: str, value: str, deltas: list[str]
) -> None:
    whole = body("text", deltas, end)
    messages = parse(whole)
    assert [message.event for message in messages] == ["message"] * len(deltas) + [name]
    assert json.loads(messages[-1].data)[field] == value
    assert text_of(whole) == with_lf("".join(deltas))


@settings(deadline=None)
@given(deltas=DELTAS)
@example(deltas=TROUBLE)
def test_a_running_stream_holds_nothing_back_but_perhaps_one_line_end(deltas: list[str]) -> None:
    for known in range(len(deltas) + 1):
        running = text_of(b"".join(encoded("text", stream(deltas[:known], None))))
        so_far = with_lf("".join(deltas[:known]))
        assert running in (so_far, so_far.removesuffix("\n"))


@settings(deadline=None)
@given(deltas=DELTAS, end=ENDINGS)
@example(deltas=TROUBLE, end=DONE)
def test_a_cursor_of_n_blocks_stands_for_the_event_that_was_block_n(deltas: list[str], end: Terminal) -> None:
    events = stream(deltas, end)
    written = encoded("text", events)
    for count in range(len(deltas) + 1):
        read_before = parse(b"".join(written[: seq_after(count, events)]))
        assert [message.event for message in read_before] == ["message"] * count


@given(deltas=DELTAS, end=ENDINGS)
@example(deltas=TROUBLE, end=DONE)
def test_a_cursor_of_more_blocks_than_were_written_lies_ahead_of_the_log(deltas: list[str], end: Terminal) -> None:
    for events in (stream(deltas, end), stream(deltas, None)):
        assert seq_after(len(deltas) + 1, events) > len(events)
        assert seq_after(999_999_999, events) > len(events)
