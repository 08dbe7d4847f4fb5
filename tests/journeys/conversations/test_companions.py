"""A real model that remembers, a title that nobody waits for, and words that only their owner finds."""

import threading
from collections.abc import Callable
from pathlib import Path

import httpx

from chains.core.local.server import local_models
from tests.conftest import missing
from tests.journeys.conftest import Play, ServeModels
from tests.support.catalogue import row
from tests.support.keys import KeyRing, bearer
from tests.support.provider import Answer
from tests.support.server import LiveServer, wait_for
from tests.support.talk import open_talk, told

Serve = Callable[..., LiveServer]
SECRET = "The secret word is banana. " + "Keep it in mind, for it is asked for again later. " * 4
LOCAL = {"id": "local", "provider": "local", "model": "smollm2", "timeouts": {"first_token": 120}}


def test_smollm2_remembers_what_it_was_told_and_gives_the_talk_a_title(serve_models: ServeModels) -> None:
    if not local_models():
        missing("the local model")
    server = serve_models(LOCAL, LLM_TEMPERATURE=0)
    talk, first = open_talk(server, SECRET, max_tokens=40)
    second = talk.say("What is the secret word?", max_tokens=30)
    assert "banana" in second.text
    alone, _ = open_talk(server, "What is the secret word?", max_tokens=30)
    assert "banana" not in alone.texts()[1], "it does not know by itself"
    before, after = first.last[1]["usage"], second.last[1]["usage"]
    assert after["input_tokens"] > before["input_tokens"] + before["output_tokens"], "it has read all of it"
    # The first title is as much of the message as fits: more than one sentence, of which the model's is made.
    wait_for(lambda: "Keep it in mind" not in talk.session()["title"], 60)
    assert "\n" not in talk.session()["title"]


def test_nobody_waits_for_a_title(play: Play, serve_models: ServeModels) -> None:
    asked, go = threading.Event(), threading.Event()

    def script(answer: Answer) -> None:
        if answer.request["messages"][-1]["content"].startswith("Write a title"):
            asked.set()
            go.wait(20)
            answer.say("A late one")
        else:
            answer.say("fine")

    model = play(script)
    talk, first = open_talk(serve_models(row("openai_compatible", model.url)), "the first words")
    assert first.text == "fine"
    assert asked.wait(20)
    assert talk.session()["title"] == "the first words", "meanwhile"
    assert talk.say("and on").text == "fine"
    assert [each["state"] for each in talk.history()] == ["complete"] * 4
    go.set()
    wait_for(lambda: talk.session()["title"] == "A late one")
    assert sum("Write a title" in told(model, number)[0][1] for number in range(len(model.seen.requests))) == 1


NOTHING: dict[str, object] = {"items": [], "next": None, "incomplete": False}


def test_only_ones_own_words_are_found(serve: Serve, tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    server = serve(AUTH_MODE="api_key", DATA_DIR=ring.folder, SIMULATED_TEXT="the secret is 42")
    ann, bob = bearer(ring.make("ann")), bearer(ring.make("bob"))
    for number in range(3):
        body = {"message": f"ann's wordy question {number}", "new_session": True}
        httpx.post(f"{server.url}/chat", json=body, headers=ann)

    def found(headers: dict[str, str], **params: str) -> dict[str, object]:
        answer = httpx.get(f"{server.url}/search", params=params, headers=headers)
        return answer.json()  # type: ignore[no-any-return]

    for words in ("wordy", "secret", "ann's", "42"):
        assert len(found(ann, q=words)["items"]) == 3  # type: ignore[arg-type]
        assert found(bob, q=words) == NOTHING
    cursor = str(found(ann, q="wordy", limit="1")["next"])
    assert len(found(ann, q="wordy", cursor=cursor)["items"]) == 2  # type: ignore[arg-type]
    assert found(bob, q="wordy", cursor=cursor) == NOTHING, "nor with a cursor of hers"


def test_no_title_is_asked_for_with_tokens_that_are_not_there(
    play: Play, serve_models: ServeModels, tmp_path: Path
) -> None:
    """A title is paid for like an answer; but nobody is told if there is none."""

    def script(answer: Answer) -> None:
        message = answer.request["messages"][-1]["content"]
        answer.chunk("A title" if message.startswith("Write a title") else "fine")
        answer.finish(usage=(int(message) if message.isdigit() else 20, 5))

    model, ring = play(script), KeyRing(tmp_path)
    server = serve_models(
        row("openai_compatible", model.url), AUTH_MODE="api_key", DATA_DIR=ring.folder, OWNER_TOKENS="250/day"
    )
    ann, bob = bearer(ring.make("ann")), bearer(ring.make("bob"))

    def ask(headers: dict[str, str], message: str) -> httpx.Response:
        body = {"message": message, "new_session": True, "max_tokens": 20}
        return httpx.post(f"{server.url}/chat", json=body, headers=headers, timeout=20)

    def titles() -> list[str]:
        asked = [told(model, number)[0][1] for number in range(len(model.seen.requests))]
        return [prompt for prompt in asked if prompt.startswith("Write a title")]

    assert ask(ann, "220").text == "data: fine\n\n"
    assert ask(bob, "100").text == "data: fine\n\n"
    wait_for(titles)  # one is written after the other: ann's would have been the first
    assert "user: 100" in titles()[0]
    used = {"ann": 225, "bob": 105 + 25}
    for name, headers in (("ann", ann), ("bob", bob)):
        wait_for(lambda: _tokens(server, headers) == used[name])  # noqa: B023 - it is called here and now
    assert ask(ann, "20").status_code == 200, "for that there is room"


def _tokens(server: LiveServer, headers: dict[str, str]) -> int:
    shown = httpx.get(f"{server.url}/usage", headers=headers).json()["limits"]
    return next(each["used"] for each in shown if each["name"] == "tokens")  # type: ignore[no-any-return]
