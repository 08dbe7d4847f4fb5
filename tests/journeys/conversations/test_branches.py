"""Versions of what was said: answers given anew, questions asked differently, and the one at a time (F24)."""

import threading
from collections.abc import Callable

import httpx
import pytest

from tests.journeys.conftest import Play, ServeModels
from tests.support.answers import Heard, ask
from tests.support.catalogue import row
from tests.support.provider import Answer
from tests.support.scripts import COMMIT, first, ok, refuse, stall, words_then
from tests.support.server import LiveServer, wait_for
from tests.support.talk import Talk, open_talk, told

Serve = Callable[..., LiveServer]


def count(answer: Answer) -> None:
    """Says which request this is."""
    answer.say(f"answer {answer.number}")


def test_an_answer_given_anew_is_a_sibling_and_can_be_switched_back(play: Play, serve_models: ServeModels) -> None:
    model = play(count)
    talk, _ = open_talk(serve_models(row("openai_compatible", model.url), SUMMARY_MODEL="simulated"), "why?")
    old = talk.history()[1]
    assert talk.again(old["id"]).status_code == 200
    question, new = talk.history()
    assert (new["text"], new["siblings"]) == ("answer 2", [old["id"], new["id"]])
    assert told(model, 1) == [("user", "why?")], "the answer that it replaces is not told"
    talk.say("go on")
    assert told(model)[1] == ("assistant", "answer 2")
    assert talk.switch(old["id"]).status_code == 200
    assert talk.texts() == ["why?", "answer 1"]
    talk.say("go on")
    assert told(model)[1] == ("assistant", "answer 1")
    assert talk.again(question["id"]).status_code == 200, "the question may be named as well"
    assert len(talk.history(all=True)) == 8
    assert talk.switch("0" * 32).json()["code"] == "message_not_found"


def test_a_question_asked_differently_is_a_branch(play: Play, serve_models: ServeModels) -> None:
    model = play(count)
    talk, _ = open_talk(serve_models(row("openai_compatible", model.url), SUMMARY_MODEL="simulated"), "one")
    talk.say("two")
    two = talk.history()[2]
    talk.say("zwei", edit=two["id"])
    assert talk.texts() == ["one", "answer 1", "zwei", "answer 3"]
    assert told(model) == [("user", "one"), ("assistant", "answer 1"), ("user", "zwei")]
    talk.say("eins", edit=talk.history()[0]["id"])
    assert talk.texts() == ["eins", "answer 4"]
    assert told(model) == [("user", "eins")]
    assert talk.say("x", edit=talk.history()[1]["id"]).code == "message_not_found", "an answer is not theirs to edit"
    assert len(talk.history(all=True)) == 8


@pytest.mark.parametrize("how", ["message", "new", "edit", "regenerate"])
def test_what_was_refused_leaves_no_trace(play: Play, serve_models: ServeModels, how: str) -> None:
    model = play(first(1, ok, refuse(503)))
    server = serve_models(row("openai_compatible", model.url), SUMMARY_MODEL="simulated", **COMMIT)
    talk, _ = open_talk(server, "one")
    before = (talk.history(all=True), talk.session(), httpx.get(f"{server.url}/sessions").json())
    question, answer = before[0]
    if how == "message":
        refused = talk.say("two").status
    elif how == "new":
        refused = open_refused(server).status
    elif how == "edit":
        refused = talk.say("two", edit=question["id"]).status
    else:
        refused = talk.again(answer["id"]).status_code
    assert refused == 503
    assert (talk.history(all=True), talk.session(), httpx.get(f"{server.url}/sessions").json()) == before


def open_refused(server: LiveServer) -> Heard:
    return ask(server, "two", new_session=True)


def test_what_was_said_before_a_failure_or_a_stop_is_kept_and_labelled(play: Play, serve_models: ServeModels) -> None:
    model = play(first(1, words_then(lambda answer: answer.reset()), words_then(stall)))
    talk, failed = open_talk(serve_models(row("openai_compatible", model.url), SUMMARY_MODEL="simulated"))
    assert failed.last[0] == "error"
    body = {"message": "x", "session_id": talk.id}
    with httpx.stream("POST", f"{talk.url}/chat?format=events", json=body, timeout=30) as answer:
        body_of = answer.iter_bytes()
        assert next(body_of)
        wait_for(lambda: talk.history()[-1]["state"] == "running")
        httpx.post(f"{talk.url}/chat/streams/{answer.headers['x-stream-id']}/cancel")
        assert b"event: cancelled" in b"".join(body_of)
    _, first_answer, _, second = talk.history()
    assert (first_answer["state"], first_answer["text"], first_answer["code"]) == (
        "failed", "half ", failed.last[1]["code"]
    )  # fmt: skip
    assert (second["state"], second["code"]) == ("cancelled", "requested")
    assert second["text"] in ("half ", "")


class Slow:
    """A stream that is held open in a session by a thread."""

    def __init__(self, talk: Talk) -> None:
        self.begun = threading.Event()
        self.body = b""
        self.stream_id = ""
        self._thread = threading.Thread(target=self._read, args=(talk,), daemon=True)
        self._thread.start()
        assert self.begun.wait(20)

    def _read(self, talk: Talk) -> None:
        body = {"message": "slow", "session_id": talk.id}
        with httpx.stream("POST", f"{talk.url}/chat?format=events", json=body, timeout=60) as answer:
            self.stream_id = answer.headers["x-stream-id"]
            for piece in answer.iter_bytes():
                self.body += piece
                self.begun.set()

    def ended(self) -> bytes:
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()
        return self.body


def test_one_answer_at_a_time_the_second_is_refused_or_replaces_the_first(serve: Serve) -> None:
    server = serve(STREAM_DELAY=30, SIMULATED_TEXT="one two")
    session_id = httpx.post(f"{server.url}/sessions", json={}).json()["id"]
    talk = Talk(server.url, session_id)
    slow = Slow(talk)
    refused = talk.say("me too")
    assert (refused.status, refused.code) == (409, "session_busy")
    assert refused.headers["x-stream-id"] == slow.stream_id
    assert talk.texts() == ["slow", ""]
    replaced = replacing(talk)
    assert b'"reason":"replaced"' in slow.ended()
    assert [(each["text"], each["state"]) for each in talk.history()][:3] == [
        ("slow", "complete"), ("one ", "cancelled"), ("me now", "complete")
    ]  # fmt: skip
    httpx.post(f"{server.url}/chat/streams/{replaced.headers['x-stream-id']}/cancel")
    replaced.close()


def replacing(talk: Talk) -> httpx.Response:
    """The answer that takes the place of another; its headers have come."""
    body = {"message": "me now", "session_id": talk.id, "on_busy": "cancel_previous"}
    client = httpx.Client(timeout=30)
    return client.send(client.build_request("POST", f"{talk.url}/chat?format=events", json=body), stream=True)


def test_of_many_at_once_just_one_is_answered(serve: Serve) -> None:
    server = serve(STREAM_DELAY=0.05)
    talk, _ = open_talk(server)
    heard: list[Heard] = []
    threads = [threading.Thread(target=lambda: heard.append(talk.say("race"))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    statuses = sorted(each.status for each in heard)
    assert statuses.count(200) >= 1
    assert set(statuses) <= {200, 409}
    assert talk.texts().count("race") == statuses.count(200)
