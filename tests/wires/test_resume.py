"""What holds for every wire: resuming loses and repeats nothing, heartbeats change nothing."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.events import AnswerEvent, Terminal
from tests.support.sse import Parser, parse
from tests.wires.samples import DELTAS, DONE, ENDINGS, STREAM_ID, TROUBLE, blocks, body, encoded, stream, with_lf
from wires.table import WIRES, Format

every_wire = pytest.mark.parametrize("format", WIRES)
NATIVE: list[Format] = ["text", "events"]


def resumed(format: Format, events: list[AnswerEvent], after: int) -> bytes:
    """What a reader gets that comes back after event number `after`."""
    wire = WIRES[format]
    encoder = wire.encoder(STREAM_ID)
    first = 1 if wire.stateful else after + 1
    written = [(seq, encoder.encode(seq, events[seq - 1])) for seq in range(first, len(events) + 1)]
    return b"".join(block for seq, block in written if seq > after)


def timeless(whole: bytes) -> bytes:
    """Without the one thing that is random."""
    return re.sub(rb"retry: [0-9]+", b"retry: 0", whole)


@every_wire
@settings(deadline=None)
@given(deltas=DELTAS, end=ENDINGS)
@example(deltas=TROUBLE, end=DONE)
def test_coming_back_after_event_k_gives_exactly_the_blocks_after_it(
    format: Format, deltas: list[str], end: Terminal
) -> None:
    events = stream(deltas, end)
    written = encoded(format, events)
    for k in range(len(events) + 1):
        assert timeless(resumed(format, events, k)) == timeless(b"".join(written[k:]))


@pytest.mark.parametrize("format", NATIVE)  # where one event is one block
@settings(deadline=None)
@given(deltas=DELTAS, end=ENDINGS)
@example(deltas=TROUBLE, end=DONE)
def test_coming_back_with_the_wires_own_count_gives_exactly_what_was_not_read(
    format: Format, deltas: list[str], end: Terminal
) -> None:
    events = stream(deltas, end)
    whole = [timeless(block) for block in blocks(body(format, deltas, end))]
    counted = len(deltas) if format == "text" else len(events)  # the text wire counts unnamed blocks only
    for read in range(counted + 1):
        rest = resumed(format, events, WIRES[format].seq_after(read, events))
        assert [timeless(block) for block in blocks(rest)] == whole[read:]


@settings(deadline=None)
@given(deltas=DELTAS)
@example(deltas=TROUBLE)
def test_a_text_cut_after_any_block_and_resumed_is_the_same_text(deltas: list[str]) -> None:
    events = stream(deltas)
    for read in range(len(deltas) + 1):
        before = b"".join(blocks(body("text", deltas))[:read])
        after = resumed("text", events, WIRES["text"].seq_after(read, events))
        both = [message.data for message in parse(before) + parse(after)]
        assert "".join(both) == with_lf("".join(deltas))


@every_wire
@settings(deadline=None)
@given(deltas=DELTAS, end=ENDINGS, data=st.data())
def test_heartbeats_between_any_two_blocks_change_nothing(
    format: Format, deltas: list[str], end: Terminal, data: st.DataObject
) -> None:
    quiet, beating = Parser(), Parser()
    beats = 0
    for block in blocks(body(format, deltas, end)):
        count = data.draw(st.integers(0, 2))
        beats += count
        quiet.feed(block)
        beating.feed(WIRES[format].heartbeat * count + block)
    assert beating.messages == quiet.messages
    assert beating.retry == quiet.retry
    assert beating.comments == [" hb"] * beats


def test_a_heartbeat_of_the_text_wire_is_a_block_of_its_own_for_clients_that_split_on_blank_lines() -> None:
    beat = WIRES["text"].heartbeat
    whole = beat + beat.join(encoded("text", stream(["one ", "two"])))
    assert [block for block in whole.split(b"\n\n") if not block.startswith(b":")] == [b"data: one ", b"data: two", b""]


@pytest.mark.parametrize("format", sorted(WIRES.keys() - {"text"}))
def test_a_heartbeat_of_any_other_wire_is_one_line_and_ends_no_block(format: Format) -> None:
    assert WIRES[format].heartbeat == b": hb\n"
