"""Conversations that are longer than a page: each part once, in order, and no page too large to hold (T13)."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.server import live_server, make_settings
from tests.support.talk import Talk, open_talk

EXCHANGES = 110
LONG = ("x" * 999 + " ") * 500


def pages(talk: Talk, **params: Any) -> list[list[dict[str, Any]]]:
    """All of them, to the last one."""
    found: list[list[dict[str, Any]]] = []
    cursor: dict[str, str] = {}
    with httpx.Client(base_url=talk.url, timeout=30) as client:
        while True:
            answer = client.get(f"/chat/history/{talk.id}", params={**params, **cursor})
            assert answer.status_code == 200, answer.text
            assert len(answer.content) < 2_000_000
            page = answer.json()
            found.append(page["items"])
            if "next" not in page:
                return found
            cursor = {"cursor": page["next"]}


def asked(found: list[list[dict[str, Any]]]) -> list[str]:
    return [message["text"] for page in found for message in page if message["role"] == "user"]


def talk_of(text: str, exchanges: int) -> Iterator[Talk]:
    """A conversation of so many; the eleventh question is asked in two versions."""
    with live_server(make_settings(STREAM_DELAY=0, SIMULATED_TEXT=text)) as server:
        talk, _ = open_talk(server, "q0")
        with httpx.Client(base_url=server.url, timeout=30) as client:
            for number in range(1, exchanges):
                client.post("/chat", json={"message": f"q{number}", "session_id": talk.id})
                if number == 10:
                    edit = {"message": "q10 differently", "session_id": talk.id, "edit": talk.history()[20]["id"]}
                    client.post("/chat", json=edit)
        yield talk


@pytest.fixture(scope="module")
def long() -> Iterator[Talk]:
    """Many short messages."""
    yield from talk_of("fine", EXCHANGES)


@pytest.fixture(scope="module")
def large() -> Iterator[Talk]:
    """A few long ones, half a megabyte each."""
    yield from talk_of(LONG, 6)


def test_pages_show_every_message_once_and_in_order(long: Talk) -> None:
    expected = [f"q{number}" for number in range(EXCHANGES)]
    expected[10] = "q10 differently"
    for limit in (3, 11, 200):
        found = pages(long, limit=limit)
        assert asked(found) == expected
        assert all(len(page) == limit for page in found[:-1])
        assert 0 < len(found[-1]) <= limit
    assert asked(pages(long, limit=7, all=True)) == [*expected[:10], "q10", *expected[10:]]
    exported = json.loads(httpx.get(f"{long.url}/sessions/{long.id}/export").content)
    assert [message["text"] for message in exported["messages"]][::2] == expected


def test_a_page_that_ends_with_the_conversation_is_the_last_one(long: Talk) -> None:
    assert len(pages(long, limit=EXCHANGES)) == 2
    assert len(pages(long, limit=EXCHANGES + 1, all=True)) == 2


def test_a_page_goes_on_below_its_cursor_whatever_came_meanwhile(long: Talk) -> None:
    url, count = f"{long.url}/chat/history/{long.id}", sum(map(len, pages(long, limit=200)))
    first = httpx.get(url, params={"limit": 200}).json()
    assert long.say("one more").status == 200
    rest = httpx.get(url, params={"limit": 200, "cursor": first["next"]}).json()
    shown = [*first["items"], *rest["items"]]
    assert len({message["id"] for message in shown}) == len(shown) == count + 2
    assert shown[-2]["text"] == "one more"
    assert "next" not in rest
    long.switch(shown[-3]["id"])


@pytest.mark.parametrize("params", [{}, {"all": True}])
def test_a_page_of_long_messages_is_a_short_one(large: Talk, params: dict[str, Any]) -> None:
    found = pages(large, limit=200, **params)
    assert len(found) > 1
    assert asked(found) == [f"q{number}" for number in range(6)]
    assert {message["text"] for page in found for message in page if message["role"] == "assistant"} == {LONG}


def test_an_export_has_all_of_them(large: Talk) -> None:
    exported = json.loads(httpx.get(f"{large.url}/sessions/{large.id}/export", timeout=30).content)
    assert [message["text"] for message in exported["messages"]][1::2] == [LONG] * 6
