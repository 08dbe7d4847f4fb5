"""Pieces of calls, in all the ways in which providers tell which call they belong to."""

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from chains.core.reading.translate import Translator
from domain.errors import StreamForgeError
from domain.events import ToolCall
from domain.models import Finished

PIECES: dict[str, list[dict[str, Any]]] = {
    "by index, the id first": [
        {"index": 0, "id": "a", "name": "first", "args": ""},
        {"index": 0, "args": '{"x":'},
        {"index": 1, "id": "b", "name": "second", "args": ""},
        {"index": 0, "args": " 1}"},
        {"index": 1, "args": '{"y": 2}'},
    ],
    "by index, the name repeated": [
        {"index": 0, "id": "a", "name": "first", "args": '{"x":'},
        {"index": 0, "name": "first", "args": " 1}"},
        {"index": 1, "id": "b", "name": "second", "args": '{"y": 2}'},
    ],
    "by index, another id with every piece": [
        {"index": 0, "id": "a", "name": "first", "args": ""},
        {"index": 0, "id": "z", "args": '{"x": 1}'},
        {"index": 1, "id": "b", "name": "second", "args": ""},
        {"index": 1, "id": "y", "args": '{"y": 2}'},
    ],
    "by id": [
        {"id": "a", "name": "first", "args": '{"x":'},
        {"id": "b", "name": "second", "args": '{"y": 2}'},
        {"id": "a", "args": " 1}"},
    ],
    "whole, and all with one index": [
        {"index": 0, "id": "a", "name": "first", "args": '{"x": 1}'},
        {"index": 0, "id": "b", "name": "second", "args": '{"y": 2}'},
    ],
    "one after the other": [
        {"id": "a", "name": "first", "args": '{"x":'},
        {"args": " 1}"},
        {"id": "b", "name": "second", "args": '{"y": 2}'},
    ],
    "the name after the arguments": [
        {"index": 0, "id": "a", "args": '{"x":'},
        {"index": 0, "args": " 1"},
        {"index": 0, "name": "first", "args": "}"},
        {"index": 1, "id": "b", "name": "second", "args": '{"y": 2}'},
    ],
}


def translated(*pieces: dict[str, Any], reason: str = "tool_calls") -> list[ToolCall | Finished]:
    answer = Translator()
    found: list[ToolCall | Finished] = []
    for piece in pieces:
        whole = {"name": None, "args": None, "id": None, "index": None, **piece}
        found += answer.calls(AIMessageChunk(content="", tool_call_chunks=[tool_call_chunk(**whole)]))
    answer.rest(AIMessageChunk(content="", response_metadata={"finish_reason": reason}))
    for last in answer.finish():
        assert isinstance(last, ToolCall | Finished)
        found.append(last)
    return found


def calls_in(found: list[ToolCall | Finished]) -> list[tuple[str, str, str]]:
    """Id, name and arguments of each; every call has its name once, with its first piece."""
    names: dict[str, str] = {}
    arguments: dict[str, str] = {}
    for piece in found:
        if isinstance(piece, ToolCall):
            assert (piece.name is not None) == (piece.id not in names)
            names[piece.id] = names.get(piece.id) or piece.name or ""
            arguments[piece.id] = arguments.get(piece.id, "") + piece.arguments
    return [(call, name, arguments[call]) for call, name in names.items()]


@pytest.mark.parametrize("how", PIECES)
def test_every_piece_finds_its_call(how: str) -> None:
    found = translated(*PIECES[how])
    assert [(call, name, json.loads(said)) for call, name, said in calls_in(found)] == [
        ("a", "first", {"x": 1}),
        ("b", "second", {"y": 2}),
    ]
    assert found[-1] == Finished("tool_calls")


def test_calls_without_ids_get_some_of_ours() -> None:
    found = calls_in(translated({"name": "f", "args": '{"x": 1}'}, {"name": "f", "args": '{"x": 2}'}))
    assert [(name, said) for _, name, said in found] == [("f", '{"x": 1}'), ("f", '{"x": 2}')]
    assert len({call for call, _, _ in found}) == 2


@pytest.mark.parametrize("id", ["x" * 201, "nul\x00", "half\ud800"])
def test_an_id_that_nobody_could_send_back_is_replaced(id: str) -> None:
    ((found, name, said),) = calls_in(translated({"index": 0, "id": id, "name": "f"}, {"index": 0, "args": "{}"}))
    assert found != id
    assert len(found) < 50
    assert (name, said) == ("f", "{}")


def test_a_call_without_arguments_has_an_empty_object_of_them() -> None:
    assert calls_in(translated({"index": 0, "id": "a", "name": "now", "args": ""})) == [("a", "now", "{}")]


def test_of_an_answer_that_was_cut_short_nothing_is_made_up() -> None:
    found = translated({"index": 0, "id": "a", "name": "now", "args": ""}, reason="length")
    assert calls_in(found) == [("a", "now", "")]
    assert found[-1] == Finished("length")


def test_an_answer_that_calls_ends_for_that_whatever_its_server_says() -> None:
    assert translated({"index": 0, "id": "a", "name": "f", "args": "{}"}, reason="stop")[-1] == Finished("tool_calls")


def test_a_surrogate_pair_that_was_split_over_two_pieces_is_joined() -> None:
    found = translated(
        {"index": 0, "id": "a", "name": "f", "args": '{"x": "\ud83d'},
        {"index": 0, "args": '\ude00\ud800"}'},
    )
    assert calls_in(found) == [("a", "f", '{"x": "\U0001f600\ufffd"}')]


def test_a_call_that_is_never_named_is_no_whole_answer() -> None:
    with pytest.raises(StreamForgeError) as caught:
        translated({"index": 0, "id": "a", "args": "{}"})
    assert caught.value.code == "provider_incomplete"
