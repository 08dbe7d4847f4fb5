"""What a model is told of a conversation, and what another writes about it in the background."""

import json

import httpx

from tests.journeys.conftest import Play, ServeModels
from tests.support.answers import ask
from tests.support.catalogue import KEYS, row
from tests.support.provider import Answer
from tests.support.server import wait_for
from tests.support.talk import Talk, open_talk, rows, told

NOBODY = {"SUMMARY_MODEL": "simulated"}


def count(answer: Answer) -> None:
    """Says which request this is."""
    answer.say(f"answer {answer.number}")


def test_the_model_is_told_what_was_said_in_order(play: Play, serve_models: ServeModels) -> None:
    model = play(count)
    talk, _ = open_talk(serve_models(row("openai_compatible", model.url), **NOBODY), "one", system="Be brief.")
    talk.say("two", system="Be brief.")
    talk.say("three", system="Be brief.")
    assert told(model) == [
        ("system", "Be brief."), ("user", "one"), ("assistant", "answer 1"), ("user", "two"), ("assistant", "answer 2"),
        ("user", "three"),
    ]  # fmt: skip
    ask(talk.url, "stateless")
    assert told(model) == [("user", "stateless")]


def test_another_model_goes_on_where_the_first_one_was(play: Play, serve_models: ServeModels) -> None:
    first, second = play(count), play(count)
    server = serve_models(row("openai_compatible", first.url), row("anthropic", second.url, id="other"), **NOBODY)
    talk, _ = open_talk(server, "one")
    assert talk.say("two", model="other").last[1]["model"] == "other"
    assert [message["role"] for message in second.seen.requests[0]["body"]["messages"]] == ["user", "assistant", "user"]


def test_what_does_not_fit_beside_the_answer_is_left_out_from_a_question_on(
    play: Play, serve_models: ServeModels
) -> None:
    model = play(lambda answer: answer.say("word " * 40))
    small = row("openai_compatible", model.url, context_window=400)
    talk, _ = open_talk(serve_models(small, **NOBODY), "q1 " * 20, max_tokens=50)
    for number in range(2, 6):
        talk.say(f"q{number} " * 20, max_tokens=50)
    whole = [role for role, _ in told(model)]
    assert whole[0] == "user"
    assert len(whole) < 9, "not all of it"
    assert told(model)[-2][0] == "assistant", "but the last exchange"
    assert len(talk.history()) == 10, "and nothing is lost"
    talk.say("q6 " * 20, max_tokens=300)
    assert len(told(model)) < len(whole), "a longer answer leaves less room"


def test_older_messages_are_summarised_by_another_model_and_told_in_short(
    play: Play, serve_models: ServeModels
) -> None:
    model, scribe = (
        play(lambda answer: answer.say("word " * 40)),
        play(lambda answer: answer.say("They spoke of cats.")),
    )
    server = serve_models(
        row("openai_compatible", model.url), row("openai_compatible", scribe.url, id="cheap"),
        SUMMARY_MODEL="cheap", MEMORY_MAX_TOKENS=200,
    )  # fmt: skip
    folder = server.settings.DATA_DIR
    talk, _ = open_talk(server, "cats " * 10)
    for number in range(3):
        talk.say(f"more {number} " * 10)
    wait_for(lambda: rows(folder, "summaries") >= 1)
    talk.say("and now")
    first = told(model)[0]
    assert first[0] == "user"
    assert "They spoke of cats." in first[1]
    assert len(talk.history()) == 10
    assert all("They spoke of cats." not in text for text in talk.texts())


def test_a_title_comes_from_the_first_words_then_from_the_model_and_never_over_a_persons(
    play: Play, serve_models: ServeModels
) -> None:
    def script(answer: Answer) -> None:
        asked = answer.request["messages"][-1]["content"]
        answer.say('"Cats and dogs."' if asked.startswith("Write a title") else "fine")

    model = play(script)
    server = serve_models(row("openai_compatible", model.url))
    talk, _ = open_talk(server, "What is it about cats and dogs " * 5)
    wait_for(lambda: talk.session()["title"] == "Cats and dogs")
    named = Talk(server.url, httpx.post(f"{server.url}/sessions", json={"title": "Mine"}).json()["id"])
    named.say("hello")
    wait_for(lambda: len(model.seen.requests) >= 4)
    assert named.session()["title"] == "Mine"
    plain, _ = open_talk(serve_models(row("openai_compatible", model.url), **NOBODY), "Just these few words")
    assert plain.session()["title"] == "Just these few words"


def test_a_scribe_that_fails_is_nobodys_trouble(play: Play, serve_models: ServeModels) -> None:
    def script(answer: Answer) -> None:
        if answer.request["messages"][-1]["content"].startswith("Write a title"):
            answer.status(500)
        else:
            answer.say("fine")

    model = play(script)
    talk, _ = open_talk(serve_models(row("openai_compatible", model.url), PROVIDER_KEYS=json.dumps(KEYS)), "hello")
    wait_for(lambda: len(model.seen.requests) >= 2)
    assert talk.say("again").text == "fine"
    assert talk.session()["title"] == "hello"
