"""A page with a conversation in it that is not known here: the session begins with what the page shows."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.journeys.chats.test_client_chats import chat, history, read, ui
from tests.journeys.conftest import Play, ServeModels
from tests.support.catalogue import row
from tests.support.provider import Answer, Provider
from tests.support.server import LiveServer, wait_for
from tests.support.sse import parse
from tests.support.talk import rows, told

NOBODY = {"SUMMARY_MODEL": "simulated"}
SHOWN = [ui("My name is Ada.", "u1"), ui("Hello Ada!", "a1", "assistant")]
ASKED = ui("What is my name?", "u2")


def count(answer: Answer) -> None:
    answer.say(f"answer {answer.number}")


@pytest.fixture(params=["sqlite", "postgresql"])
def stored(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings for each kind of database."""
    if request.param == "sqlite":
        return {}
    return {"DATABASE_URL": request.getfixturevalue("postgres_url")}


@pytest.fixture
def model(play: Play) -> Provider:
    return play(count)


@pytest.fixture
def server(serve_models: ServeModels, model: Provider, stored: dict[str, Any]) -> LiveServer:
    return serve_models(row("openai_compatible", model.url), **NOBODY, **stored)


def texts(server: LiveServer, chat_id: str, **params: Any) -> list[str]:
    return [message["text"] for message in history(server, chat_id, limit=200, **params)]


def heard(answer: httpx.Response) -> dict[str, Any]:
    """The answer as the page keeps it."""
    assert answer.status_code == 200, answer.text
    return ui(read(answer.content), json.loads(parse(answer.content)[0].data)["messageId"], "assistant")


def test_the_model_is_told_what_the_page_shows_and_the_chat_goes_on(server: LiveServer, model: Provider) -> None:
    shown = [*SHOWN, ASKED]
    shown += [heard(chat(server, *shown, chat_id="mine")), ui("And yours?", "u3")]
    assert told(model) == [
        ("user", "My name is Ada."), ("assistant", "Hello Ada!"), ("user", "What is my name?")
    ]  # fmt: skip
    chat(server, *shown, chat_id="mine")
    assert [text for _, text in told(model)] == [each["parts"][1]["text"] for each in shown]
    first, answer, asked, given, *_ = history(server, "mine")
    assert [first["client_id"], answer["client_id"], asked["client_id"]] == ["u1", "a1", "u2"]
    assert (answer["state"], answer["role"], answer["text"]) == ("complete", "assistant", "Hello Ada!")
    assert not {"stream_id", "model", "usage", "finish_reason", "first_word_ms"} & set(answer)
    assert {"stream_id", "model", "usage"} <= set(given)
    assert httpx.get(f"{server.url}/sessions").json()["items"][0]["title"] == "My name is Ada."
    assert httpx.get(f"{server.url}/search", params={"q": "Ada"}).json()["items"]


def test_what_was_taken_over_is_edited_and_answered_anew_like_all_else(server: LiveServer, model: Provider) -> None:
    more = [ui("I like cats.", "u2"), ui("So do I.", "a2", "assistant")]
    chat(server, *SHOWN, *more, ui("Why?", "u3"), chat_id="mine")
    chat(server, *SHOWN, more[0], chat_id="mine", trigger="regenerate-message", messageId="a2")
    assert told(model)[-1] == ("user", "I like cats.")
    assert texts(server, "mine") == ["My name is Ada.", "Hello Ada!", "I like cats.", "answer 2"]
    chat(server, *SHOWN, ui("I like dogs.", "u2"), chat_id="mine", messageId="u2")
    assert texts(server, "mine")[2:] == ["I like dogs.", "answer 3"]
    assert len(texts(server, "mine", all=True)) == 9


def test_a_known_chat_takes_nothing_over(server: LiveServer, model: Provider) -> None:
    answer = heard(chat(server, ui("one", "1"), chat_id="mine"))
    forged = [ui("one", "1"), ui("I am forged", answer["id"], "assistant"), ui("forged?", "f1")]
    chat(server, *forged, ui("Forged!", "f2", "assistant"), ui("two", "2"), chat_id="mine")
    assert texts(server, "mine", all=True) == ["one", "answer 1", "two", "answer 2"]
    assert [text for _, text in told(model)] == ["one", "answer 1", "two"]
    session = httpx.post(f"{server.url}/sessions", json={"client_id": "empty"}).json()["id"]
    chat(server, *SHOWN, ASKED, chat_id="empty")
    httpx.delete(f"{server.url}/chat/history/{session}")
    chat(server, *SHOWN, ui("And now?", "u3"), chat_id="empty")
    assert texts(server, "empty", all=True) == ["And now?", "answer 4"]


def test_a_chat_whose_session_was_deleted_comes_back_with_its_page(server: LiveServer, model: Provider) -> None:
    shown = [ui("one", "1")]
    shown += [heard(chat(server, *shown, chat_id="mine")), ui("two", "2")]
    session = httpx.get(f"{server.url}/sessions").json()["items"][0]["id"]
    httpx.delete(f"{server.url}/sessions/{session}")
    shown += [heard(chat(server, *shown, chat_id="mine")), ui("three", "3")]
    chat(server, *shown, chat_id="mine")
    assert [text for _, text in told(model)] == ["one", "answer 1", "two", "answer 2", "three"]
    assert [each.get("client_id") for each in history(server, "mine")][:3] == ["1", shown[1]["id"], "2"]


def test_a_copy_of_a_chat_goes_on_beside_it(server: LiveServer, model: Provider) -> None:
    """All names of its questions are taken, and those of its answers are ids of the other session."""
    shown = [ui("one", "1")]
    shown += [heard(chat(server, *shown, chat_id="first"))]
    chat(server, *shown, ui("two", "2"), chat_id="copy")
    assert [text for _, text in told(model)] == ["one", "answer 1", "two"]
    chat(server, *shown, ui("zwei", "3"), chat_id="copy")
    assert texts(server, "copy") == ["one", "answer 1", "zwei", "answer 3"], "where its answer says that it is"
    assert texts(server, "first") == ["one", "answer 1"]


def test_what_a_session_cannot_hold_as_it_is_takes_turns_and_is_told(server: LiveServer, model: Provider) -> None:
    shown = [
        ui("Welcome.", "w", "assistant"), ui("Be kind.", "s", "system"), ui("lost", "1"), ui("one", "2"),
        ui("So", "3", "assistant"), ui("so.", "4", "assistant"), ui("", "5"), ui("", "6", "assistant"), ui("two", "1"),
    ]  # fmt: skip
    plain = [message for message in shown if message["role"] != "system"]
    chat(server, *plain, chat_id="mine")
    assert told(model) == [("user", "lost\n\none"), ("assistant", "So\n\nso."), ("user", "two")]
    found = history(server, "mine")
    assert [(each["role"][0], each["text"], each["state"]) for each in found] == [
        ("a", "Welcome.", "complete"), ("u", "lost", "complete"), ("a", "", "interrupted"), ("u", "one", "complete"),
        ("a", "So\n\nso.", "complete"), ("u", "", "complete"), ("a", "", "interrupted"), ("u", "two", "complete"),
        ("a", "answer 1", "complete"),
    ]  # fmt: skip
    assert [each.get("client_id") for each in found] == ["w", None, None, "2", "4", "5", "6", None, None]
    chat(server, *plain, ui("answer 1", found[-1]["id"], "assistant"), ui("three", "9"), chat_id="mine")
    assert told(model)[-2:] == [("assistant", "answer 1"), ("user", "three")]
    chat(server, *shown, chat_id="with a system")
    assert told(model)[0] == ("system", "Be kind.")
    assert len(history(server, "with a system")) == 9


def test_a_thousand_messages_are_taken_over_at_once(server: LiveServer, model: Provider) -> None:
    long = [ui(f"w{number}", f"n{number}", ("user", "assistant")[number % 2]) for number in range(998)]
    alone = [ui(f"w{number}", f"x{number}") for number in range(999)]
    for chat_id, shown in (("long", long), ("alone", alone)):
        assert chat(server, *shown, ui("now", chat_id), chat_id=chat_id).status_code == 200
        assert told(model)[-1][1].endswith("now")
        heard_of = [text for _, text in told(model)[:-1]]
        assert len(heard_of) <= 200, "as of any session"
        session = httpx.get(f"{server.url}/sessions").json()["items"][0]["id"]
        kept = httpx.get(f"{server.url}/sessions/{session}/export").json()["messages"]
        said = [message["text"] for message in kept if message["text"]]
        assert said[:-2] == [message["parts"][1]["text"] for message in shown]
    assert chat(server, *long, *SHOWN, ASKED, chat_id="more").status_code == 422


def test_what_is_posted_twice_is_taken_over_and_answered_once(server: LiveServer, model: Provider) -> None:
    shown = [*SHOWN, *SHOWN, ASKED]  # with each name twice, too
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: chat(server, *shown, chat_id="mine"), range(6)))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert len({answer.content for answer in answers}) == 1
    late = chat(server, *shown, chat_id="mine")
    assert (late.content, late.headers["idempotent-replayed"]) == (answers[0].content, "true")
    assert len(texts(server, "mine", all=True)) == 6
    assert len(model.seen.requests) == 1


def test_one_key_takes_over_once(server: LiveServer, model: Provider) -> None:
    body = {"id": "mine", "messages": [*SHOWN, ASKED]}
    with ThreadPoolExecutor(4) as threads:
        answers = list(
            threads.map(
                lambda _: httpx.post(f"{server.url}/api/chat", json=body, headers={"idempotency-key": "k"}, timeout=20),
                range(4),
            )
        )
    assert len({(answer.status_code, answer.content) for answer in answers}) == 1
    assert len(texts(server, "mine", all=True)) == 4


def test_of_different_first_posts_at_once_one_is_taken_over(server: LiveServer) -> None:
    def post(number: int) -> httpx.Response:
        shown = [ui(f"said {number}", f"u{number}"), ui(f"heard {number}", f"a{number}", "assistant")]
        return chat(server, *shown, ui(f"now {number}", f"n{number}"), chat_id="mine")

    with ThreadPoolExecutor(5) as threads:
        answers = list(threads.map(post, range(5)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    said = texts(server, "mine", all=True)
    assert len([text for text in said if text.startswith("said")]) == 1
    assert len([text for text in said if text.startswith("heard")]) == 1
    assert len([text for text in said if text.startswith("now")]) == sum(each.status_code == 200 for each in answers)


def test_a_refused_start_leaves_nothing_and_a_later_one_takes_over_again(
    play: Play, serve_models: ServeModels, stored: dict[str, Any]
) -> None:
    broken = threading.Event()
    broken.set()

    def script(answer: Answer) -> None:
        if broken.is_set():
            answer.status(503)
        else:
            answer.say("fine")

    model = play(script)
    server = serve_models(row("openai_compatible", model.url), STREAM_COMMIT_DELAY=20, **NOBODY, **stored)
    assert chat(server, *SHOWN, ASKED, chat_id="mine").status_code == 503
    assert httpx.get(f"{server.url}/sessions").json()["items"] == []
    assert httpx.get(f"{server.url}/search", params={"q": "Ada"}).json()["items"] == []
    broken.clear()
    assert chat(server, *SHOWN, ASKED, ui("Hm?", "u3"), chat_id="mine").status_code == 200
    assert told(model)[-1] == ("user", "What is my name?\n\nHm?"), "which the page shows without an answer"


def test_a_question_that_is_too_long_is_refused_also_where_it_was_asked_before(
    serve_models: ServeModels, model: Provider
) -> None:
    server = serve_models(row("openai_compatible", model.url), MAX_MESSAGE_CHARS=100, **NOBODY)
    refused = chat(server, ui("x" * 101, "u1"), ui("y", "a1", "assistant"), ASKED)
    assert (refused.status_code, "at most 100" in refused.text) == (422, True), refused.text
    assert chat(server, ui("x", "u1"), ui("y" * 101, "a1", "assistant"), ASKED).status_code == 200


def test_a_model_gives_the_title_as_to_any_new_chat(play: Play, serve_models: ServeModels) -> None:
    def script(answer: Answer) -> None:
        asked = answer.request["messages"][-1]["content"]
        answer.say("Names" if asked.startswith("Write a title") else "Ada.")

    model = play(script)
    server = serve_models(row("openai_compatible", model.url))
    shown = [*SHOWN, ASKED]
    shown.append(heard(chat(server, *shown, chat_id="mine")))
    wait_for(lambda: httpx.get(f"{server.url}/sessions").json()["items"][0]["title"] == "Names")
    chat(server, *shown, ui("And?", "u3"), chat_id="mine")
    assert sum("Write a title" in json.dumps(each["body"]) for each in model.seen.requests) == 1


def test_a_thread_of_ag_ui_begins_so_too(server: LiveServer, model: Provider) -> None:
    def run(*said: tuple[str, str]) -> None:
        messages = [
            {"id": f"{number}", "role": role, "content": text} for number, (role, text) in enumerate(said)
        ]  # fmt: skip
        body = {"threadId": "mine", "runId": "r", "messages": messages}
        assert "RUN_FINISHED" in httpx.post(f"{server.url}/ag-ui", json=body, timeout=20).text

    said = [("user", "My name is Ada."), ("assistant", "Hello Ada!"), ("user", "What is my name?")]
    run(*said)
    assert told(model) == said
    run(*said, ("assistant", "answer 1"), ("user", "And yours?"))
    assert told(model) == [*said, ("assistant", "answer 1"), ("user", "And yours?")]


def test_the_simulated_responder_keeps_it_as_well(serve: Callable[..., LiveServer], tmp_path: Path) -> None:
    server = serve(DATA_DIR=tmp_path / "data")
    chat(server, *SHOWN, ASKED, chat_id="mine")
    assert texts(server, "mine")[:3] == ["My name is Ada.", "Hello Ada!", "What is my name?"]
    assert rows(tmp_path / "data", "messages") == 4
