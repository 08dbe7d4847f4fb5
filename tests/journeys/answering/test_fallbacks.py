"""Other models answer for one that does not: which, in what order, and who is left alone for a while."""

from collections.abc import Callable

import httpx
import pytest

from tests.journeys.conftest import Play, ServeModels
from tests.support.answers import ask
from tests.support.catalogue import row
from tests.support.provider import Script
from tests.support.scripts import asked, every_provider, first, ok, refuse, stall
from tests.support.server import wait_for


@every_provider
@pytest.mark.parametrize("trouble", ["refused", "silent", "gone", "reset", "no-key"])
def test_a_fallback_answers_before_the_first_word_and_says_so(
    play: Play, serve_models: ServeModels, provider: str, trouble: str, free_port: Callable[[], int]
) -> None:
    scripts: dict[str, Script] = {"refused": refuse(401), "silent": stall, "reset": lambda answer: answer.reset()}
    model = play(scripts.get(trouble, ok))
    url = f"http://127.0.0.1:{free_port()}" if trouble == "gone" else model.url
    key = {"key": "not-there"} if trouble == "no-key" else {}
    other = play(ok)
    server = serve_models(
        {**row(provider, url, timeouts={"first_token": 0.5}, fallbacks=["other"]), **key},
        row("openai_compatible", other.url, id="other", price={"input": 1, "output": 1}),
    )
    answer = ask(server)
    codes = {
        "refused": "provider_auth",
        "silent": "provider_timeout",
        "gone": "provider_unreachable",
        "reset": "provider_unreachable",
        "no-key": "provider_not_configured",
    }
    switched = {"phase": "model_switched", "from": "m", "to": "other", "reason": codes[trouble]}
    assert answer.told("model_switched") == [switched]
    assert answer.text == "fine answer"
    name, done = answer.last
    assert (name, done["model"]) == ("done", "other")
    assert [(each["model"], each.get("error")) for each in done["attempts"]] == [("m", codes[trouble]), ("other", None)]
    assert (done["cost"] is None) == (trouble == "silent"), "what the silent one took has no known price"
    assert asked(other) == 1


def test_the_fallbacks_come_in_their_order_after_the_retries(play: Play, serve_models: ServeModels) -> None:
    one, two, three = play(refuse(503)), play(refuse(500)), play(ok)
    server = serve_models(
        row("openai", one.url, fallbacks=["two", "three"]),
        row("anthropic", two.url, id="two"),
        row("ollama", three.url, id="three", fallbacks=["m"]),
        MODEL_RETRIES=1,
    )
    answer = ask(server)
    assert answer.phases == ["retrying", "model_switched", "retrying", "model_switched"]
    assert [asked(model) for model in (one, two, three)] == [2, 2, 1]
    assert answer.last[1]["model"] == "three"
    state = httpx.get(
        f"{server.url}/chat/streams/{answer.headers['x-stream-id']}", headers={"accept": "application/json"}
    ).json()
    assert state["model"] == "three"
    assert len(state["attempts"]) == 5


@every_provider
def test_a_message_that_one_model_refuses_is_not_shown_to_others(
    play: Play, serve_models: ServeModels, provider: str
) -> None:
    model, other = play(refuse(400)), play(ok)
    server = serve_models(row(provider, model.url, fallbacks=["other"]), row(provider, other.url, id="other"))
    assert ask(server).code == "provider_refused"
    assert asked(other) == 0


def test_a_fallback_that_cannot_do_what_is_asked_is_passed_over(play: Play, serve_models: ServeModels) -> None:
    model, unable, able = play(refuse(503)), play(ok), play(ok)
    server = serve_models(
        row("openai", model.url, fallbacks=["unable", "able"]),
        row("anthropic", unable.url, id="unable"),
        row("ollama", able.url, id="able"),
    )
    assert ask(server, seed=1).last[1]["model"] == "able"
    assert asked(unable) == 0


@every_provider
def test_a_model_that_keeps_failing_is_left_alone_for_a_while(
    play: Play, serve_models: ServeModels, provider: str
) -> None:
    model, other = play(first(3, refuse(503))), play(ok)
    server = serve_models(
        row(provider, model.url, fallbacks=["other"]), row(provider, other.url, id="other"), MODEL_COOLING=2
    )
    for _ in range(3):
        assert ask(server).told("model_switched")[0]["reason"] == "provider_overloaded"
    assert asked(model) == 3
    answer = ask(server)
    assert answer.told("model_switched") == [
        {"phase": "model_switched", "from": "m", "to": "other", "reason": "cooling"}
    ]
    assert asked(model) == 3

    def answers_itself() -> bool:
        return bool(ask(server).last[1]["model"] == "m")

    wait_for(answers_itself)
    assert ask(server).phases == []
