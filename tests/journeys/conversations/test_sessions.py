"""Conversations as their owner sees them: opened, read, searched, taken along and forgotten (F17)."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.answers import ask
from tests.support.keys import KeyRing, bearer
from tests.support.server import LiveServer, process_server, wait_for
from tests.support.talk import Talk, open_talk, rows

Serve = Callable[..., LiveServer]
LONG = "word " * 200
ANSWER = "This is a simulated streaming response"


def test_a_conversation_is_opened_continued_and_read_back(serve: Serve) -> None:
    server = serve()
    talk, first = open_talk(server, "Hello there")
    start, done = first.events[0][1], first.last[1]
    assert start["session_id"] == talk.id
    assert start["message_id"] == done["message_id"]
    second = talk.say("And now?")
    assert second.headers["x-session-id"] == talk.id
    history = talk.history()
    assert [(each["role"], each["text"]) for each in history] == [
        ("user", "Hello there"), ("assistant", ANSWER), ("user", "And now?"), ("assistant", ANSWER)
    ]  # fmt: skip
    assert [each.get("parent_id") for each in history] == [None, *(each["id"] for each in history[:3])]
    answer = history[1]
    assert (answer["id"], answer["stream_id"]) == (done["message_id"], start["stream_id"])
    assert (answer["state"], answer["model"], answer["finish_reason"]) == ("complete", "simulated", "stop")
    assert answer["usage"] == done["usage"]
    assert 0 <= answer["first_word_ms"] <= answer["total_ms"]
    assert talk.session()["title"] == "Hello there"


def test_the_session_may_stand_in_the_query_and_not_in_two_ways(serve: Serve) -> None:
    talk, _ = open_talk(server := serve())
    url, other = f"{server.url}/chat?session_id={talk.id}", "0" * 32
    assert httpx.post(url, json={"message": "x"}).headers["x-session-id"] == talk.id
    assert httpx.post(url, json={"message": "x", "session_id": talk.id}).status_code == 200
    refused = httpx.post(url, json={"message": "x", "session_id": other})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "#/session_id")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/message"),
        ({"message": "x", "session_id": "0" * 32, "regenerate": "0" * 32}, "#/regenerate"),
        ({"session_id": "0" * 32, "regenerate": "0" * 32, "edit": "0" * 32}, "#/edit"),
        ({"message": "x", "session_id": "0" * 32, "new_session": True}, "#/new_session"),
        ({"message": "x", "edit": "0" * 32}, "#/edit"),
        ({"regenerate": "0" * 32}, "#/regenerate"),
        ({"message": "x", "new_session": True, "edit": "0" * 32}, "#/edit"),
        ({"new_session": True, "regenerate": "0" * 32}, "#/regenerate"),
        ({"message": "x", "client_id": "mine"}, "#/client_id"),
        ({"session_id": "0" * 32, "regenerate": "0" * 32, "client_id": "mine"}, "#/client_id"),
        ({"message": "x", "session_id": "mine"}, "#/session_id"),
    ],
)
def test_fields_that_do_not_fit_together_are_named(serve: Serve, body: dict[str, object], pointer: str) -> None:
    refused = httpx.post(f"{serve().url}/chat", json=body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == pointer


def test_without_a_session_nothing_is_written(serve: Serve, tmp_path: Path) -> None:
    server = serve(DATA_DIR=tmp_path / "data")
    assert "session_id" not in ask(server).events[0][1]
    assert not (tmp_path / "data").exists()


def test_with_owners_a_stateless_stream_leaves_its_account_and_nothing_else(serve: Serve, tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    server = serve(AUTH_MODE="api_key", DATA_DIR=ring.folder)
    httpx.post(f"{server.url}/chat", json={"message": "x"}, headers=bearer(ring.make("ann")))
    wait_for(lambda: rows(ring.folder, "usage") == 1)
    assert rows(ring.folder, "messages") == rows(ring.folder, "sessions") == 0


def test_sessions_are_listed_by_use_in_pages_and_renamed_for_good(serve: Serve) -> None:
    server = serve()
    talks = [open_talk(server, f"number {number}")[0] for number in range(5)]
    talks[0].say("once more")
    order = [talks[0], *reversed(talks[1:])]
    found: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = httpx.get(f"{server.url}/sessions", params=params).json()
        found += [each["id"] for each in page["items"]]
        cursor = page.get("next")
        if cursor is None:
            break
    assert found == [talk.id for talk in order]
    assert httpx.patch(f"{server.url}/sessions/{talks[1].id}", json={"title": "Mine"}).json()["title"] == "Mine"
    talks[1].say("another message")
    assert talks[1].session()["title"] == "Mine"
    wrong = httpx.get(f"{server.url}/sessions", params={"cursor": "nonsense"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "malformed_page")


def test_a_client_id_opens_one_session_an_owner_and_names_one_message(serve: Serve, tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    server = serve(AUTH_MODE="api_key", DATA_DIR=ring.folder)
    ann, bob = bearer(ring.make("ann")), bearer(ring.make("bob"))

    def opened(headers: dict[str, str]) -> str:
        return str(httpx.post(f"{server.url}/sessions", json={"client_id": "mine"}, headers=headers).json()["id"])

    first = opened(ann)
    assert opened(ann) == first
    assert opened(bob) != first, "another's id is no way to what that owner has"
    for _ in range(2):
        body = {"message": "x", "session_id": first, "client_id": "m1"}
        answer = httpx.post(f"{server.url}/chat", json=body, headers=ann)
    assert (answer.status_code, answer.json()["code"]) == (409, "client_id_taken")
    own = {"message": "x", "session_id": opened(bob), "client_id": "m1"}
    assert httpx.post(f"{server.url}/chat", json=own, headers=bob).status_code == 200


def test_words_are_found_and_conversations_taken_along(serve: Serve) -> None:
    server = serve(SIMULATED_TEXT="Blue, because of *scattering*.\n\n# Not a heading of ours")
    talk, _ = open_talk(server, "Why is the sky blue?")
    open_talk(server, "Something else")
    page = httpx.get(f"{server.url}/search", params={"q": "sky blue"}).json()
    assert (page["next"], page["incomplete"]) == (None, False)
    found = page["items"]
    assert [(each["session_id"], each["role"]) for each in found] == [(talk.id, "user")]
    assert "sky" in found[0]["snippet"]
    exported = httpx.get(f"{server.url}/sessions/{talk.id}/export")
    assert exported.headers["content-disposition"] == f'attachment; filename="{talk.id}.json"'
    whole = json.loads(exported.content)
    assert whole["session"]["title"] == "Why is the sky blue?"
    assert [message["text"] for message in whole["messages"]] == talk.texts()
    text = httpx.get(f"{server.url}/sessions/{talk.id}/export", params={"format": "markdown"}).text
    assert text.startswith("# Why is the sky blue?\n")
    assert "Blue, because of *scattering*." in text


def test_a_session_is_emptied_deleted_and_everything_forgotten(serve: Serve) -> None:
    server = serve()
    talks = [open_talk(server)[0] for _ in range(3)]
    assert httpx.delete(f"{server.url}/chat/history/{talks[0].id}").status_code == 204
    assert talks[0].texts() == []
    assert talks[0].say("again").status == 200
    assert httpx.delete(f"{server.url}/sessions/{talks[1].id}").status_code == 204
    assert talks[1].say("gone").code == "session_not_found"
    assert httpx.delete(f"{server.url}/sessions").status_code == 422, "not by accident"
    assert httpx.delete(f"{server.url}/sessions", params={"everything": "true"}).status_code == 204
    assert httpx.get(f"{server.url}/sessions").json()["items"] == []


@pytest.mark.parametrize("how", ["delete", "empty", "everything"])
def test_what_still_answers_in_it_is_stopped(serve: Serve, how: str) -> None:
    server = serve(STREAM_DELAY=60)
    with httpx.stream("POST", f"{server.url}/chat?format=events", json={"message": "x", "new_session": True}) as answer:
        session_id = answer.headers["x-session-id"]
        path = {"delete": f"/sessions/{session_id}", "empty": f"/chat/history/{session_id}", "everything": "/sessions"}
        assert httpx.delete(f"{server.url}{path[how]}", params={"everything": "true"}).status_code == 204
        assert b"event: cancelled" in answer.read()


def test_a_server_that_was_restarted_goes_on_and_tells_what_was_cut_off(tmp_path: Path) -> None:
    folder = str(tmp_path / "data")
    with process_server(STREAM_DELAY=0.05, DATA_DIR=folder) as (process, url):
        talk, _ = open_talk(url, "first")
        assert process.stop() < 0
    with process_server(STREAM_DELAY=30, DATA_DIR=folder) as (process, url):
        again = Talk(url, talk.id)
        assert again.texts() == ["first", ANSWER]
        with httpx.stream("POST", f"{url}/chat", json={"message": "second", "session_id": talk.id}) as answer:
            next(answer.iter_bytes())
            process.popen.kill()
            process.popen.wait(timeout=10)
    with process_server(STREAM_DELAY=0, DATA_DIR=folder) as (_, url):
        again = Talk(url, talk.id)
        last = again.history()[-1]
        assert (last["state"], last["code"]) == ("interrupted", "producer_lost")
        assert again.say("third").status == 200


def test_a_server_that_drains_keeps_what_was_said(tmp_path: Path) -> None:
    folder = str(tmp_path / "data")
    with (
        process_server(STREAM_DELAY=0.2, DRAIN_TIMEOUT=0.1, DATA_DIR=folder, SIMULATED_TEXT="word " * 200) as (
            process,
            url,
        ),
        httpx.stream("POST", f"{url}/chat", json={"message": "x", "new_session": True}, timeout=30) as answer,
    ):
        session_id = answer.headers["x-session-id"]
        body = answer.iter_bytes()
        next(body)
        process.stop()
    with process_server(DATA_DIR=folder) as (_, url):
        last = Talk(url, session_id).history()[-1]
        assert (last["state"], last["code"]) == ("interrupted", "server_draining")
        assert last["text"].startswith("word ")


def test_text_that_no_database_holds_is_mended(serve: Serve) -> None:
    server = serve()
    body = b'{"message": "a \\u0000 b", "new_session": true}'
    answer = httpx.post(f"{server.url}/chat", content=body, headers={"content-type": "application/json"})
    assert Talk(server.url, answer.headers["x-session-id"]).texts()[0] == "a \ufffd b"
