"""What is in the log of a shared deployment, to which older and newer versions of the program write."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import events as on
from domain.streams import ANSWER, INGESTION, StreamInfo, digest, new_stream_id
from domain.usage import Attempt, Cost, Spent, Usage
from stores.streams.codec import Unreadable, decode, decode_info, decode_outcome, encode, encode_info

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=9)
COUNTS = st.integers(0, 999)
MAYBE = st.none() | COUNTS
SECONDS = st.floats(0, 99)
USAGES = st.builds(Usage, COUNTS, COUNTS, st.booleans(), cached_tokens=MAYBE, reasoning_tokens=MAYBE)
COSTS = st.none() | st.builds(Cost, st.decimals(0, 9, places=4), st.just("USD"), TEXTS)
ATTEMPTS = st.lists(st.builds(Attempt, TEXTS, USAGES, COSTS, st.none() | TEXTS), max_size=2).map(tuple)
SPENT = st.builds(Spent, USAGES, COSTS, ATTEMPTS)
CODES = st.sampled_from(["producer_lost", "provider_timeout"])
EVENTS: dict[type[on.Event], st.SearchStrategy[on.Event]] = {
    on.Started: st.builds(on.Started, TEXTS, TEXTS, COUNTS, st.none() | TEXTS, st.none() | TEXTS),
    on.Delta: st.builds(on.Delta, TEXTS),
    on.Reasoning: st.builds(on.Reasoning, TEXTS),
    on.ToolCall: st.builds(on.ToolCall, TEXTS, st.none() | TEXTS, TEXTS),
    on.Quoted: st.builds(on.Quoted, COUNTS, TEXTS, TEXTS, TEXTS, TEXTS, MAYBE, st.none() | TEXTS, st.none() | SECONDS),
    on.Retrieving: st.builds(on.Retrieving, st.none() | TEXTS),
    on.Progress: st.builds(on.Progress, st.sampled_from(get_args(on.Phase)), MAYBE, MAYBE),
    on.Stalled: st.builds(on.Stalled, SECONDS),
    on.Retrying: st.builds(on.Retrying, CODES, COUNTS, SECONDS),
    on.Switched: st.builds(on.Switched, TEXTS, TEXTS, CODES | st.just(on.COOLING)),
    on.Done: st.builds(
        on.Done, st.sampled_from(get_args(on.FinishReason)), TEXTS, SPENT, st.none() | TEXTS,
        st.none() | st.lists(COUNTS, max_size=3).map(tuple), COUNTS,
    ),
    on.Failed: st.builds(on.Failed, CODES, SPENT, MAYBE, st.none() | TEXTS),
    on.Cancelled: st.builds(on.Cancelled, st.sampled_from(get_args(on.CancelReason)), SPENT),
}  # fmt: skip
SPENT_NOW = '"spent":{"usage":{"input_tokens":4,"output_tokens":6,"exact":false},"cost":null}'
NEWER: dict[str, tuple[str, str]] = {
    "an event": ("tool_result", '{"id":"a","output":[1,{"b":null}]}'),
    "an end of a stream": ("done", f'{{"finish_reason":"paused","model":"m",{SPENT_NOW}}}'),
    "a failure": ("failed", f'{{"code":"budget_spent",{SPENT_NOW}}}'),
    "a cancellation": ("cancelled", f'{{"reason":"disapproved",{SPENT_NOW}}}'),
    "a phase": ("progress", '{"phase":"recognising","done":1}'),
    "a retry": ("retrying", '{"reason":"tool_failed","attempt":2,"delay":0.5}'),
    "a switch": ("switched", '{"from_model":"a","to_model":"b","reason":"too_dear"}'),
}


def test_every_kind_of_event_is_tried() -> None:
    assert {*EVENTS, on.Unknown} == {*get_args(on.AnswerEvent), *get_args(on.IngestionEvent)}


@pytest.mark.parametrize("cls", EVENTS, ids=lambda cls: cls.__name__)
@given(st.data())
def test_what_is_written_is_read_and_understood(cls: type[on.Event], data: st.DataObject) -> None:
    event = data.draw(EVENTS[cls])
    assert decode(*encode(event)) == event
    assert on.understood(event)


def test_a_field_that_has_its_default_is_not_written() -> None:
    spent = Spent(Usage(4, 6, exact=False), None)
    assert json.loads(encode(on.Started("a", "m", 1))[1]) == {"stream_id": "a", "model": "m", "created": 1}
    assert encode(on.Failed("log_limit", spent))[1] == f'{{"code":"log_limit",{SPENT_NOW}}}'.encode()
    assert json.loads(encode(on.ToolCall("a", None, ""))[1]) == {"id": "a", "name": None, "arguments": ""}
    assert "kind" not in json.loads(encode_info(info()))
    assert "session_id" not in json.loads(encode_info(info()))


@pytest.mark.parametrize("what", NEWER)
def test_what_only_a_newer_version_knows_is_read_and_not_understood(what: str) -> None:
    kind, fields = NEWER[what]
    event = decode(kind.encode(), fields.encode())
    assert not on.understood(event)
    if what == "an event":
        assert event == on.Unknown(kind, fields)
    else:
        assert json.loads(encode(event)[1]) == json.loads(fields)


def test_a_field_that_only_a_newer_version_knows_is_passed_over() -> None:
    assert decode(b"delta", b'{"text":"a","language":"fr"}') == on.Delta("a")
    kept = info()
    written = json.dumps({**json.loads(encode_info(kept)), "colour": "red"})
    assert decode_info(written.encode(), kept.id) == kept


@pytest.mark.parametrize("kind", [b"", b"Tool", b"a b", b"a\n", b"tool-result", b"a" * 65, b"\xff", b"__reduce__"])
def test_a_name_that_none_of_ours_could_have_is_unreadable(kind: bytes) -> None:
    with pytest.raises(Unreadable):
        decode(kind, b"{}")


@pytest.mark.parametrize("fields", [b"", b"[]", b"1", b'{"a":NaN}', b'"\\ud800"', b"[" * 100_000, b'{"a":' * 3_000])
def test_an_unknown_event_without_an_object_of_json_is_unreadable(fields: bytes) -> None:
    with pytest.raises(Unreadable):
        decode(b"tool_result", fields)


@pytest.mark.parametrize("word", ["", "a b", "a\\nevent: done", "A", "a" * 65])
@pytest.mark.parametrize("what", [what for what in NEWER if what != "an event"])
def test_a_word_that_could_be_anything_is_unreadable(what: str, word: str) -> None:
    kind, fields = NEWER[what]
    known = next(each for each in ("paused", "budget_spent", "disapproved", "recognising", "tool_failed", "too_dear")
                 if each in fields)  # fmt: skip
    with pytest.raises(Unreadable):
        decode(kind.encode(), fields.replace(known, word).encode())


def test_an_outcome_is_an_end() -> None:
    assert decode_outcome(b"") is None
    for found in (b"delta " + encode(on.Delta("a"))[1], b"tool_result {}"):
        with pytest.raises(Unreadable):
            decode_outcome(found)


def test_a_log_without_a_kind_is_of_an_answer_unless_it_has_no_model() -> None:
    kept = info()
    assert decode_info(encode_info(kept), kept.id).kind == ANSWER
    without_model = json.dumps({**json.loads(encode_info(kept)), "model": ""})
    assert decode_info(without_model.encode(), kept.id).kind == INGESTION


@pytest.mark.parametrize("kind", [INGESTION, "rehearsal"])
def test_the_kind_of_a_log_is_kept(kind: str) -> None:
    kept = info(kind=kind)
    assert decode_info(encode_info(kept), kept.id) == kept


def info(**changed: Any) -> StreamInfo:
    return StreamInfo(new_stream_id(), "simulated", 1, "detach", digest("hello"), "local", **changed)
