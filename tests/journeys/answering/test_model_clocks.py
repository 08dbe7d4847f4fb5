"""A model's silence: how long each may last, what is told meanwhile, and what becomes of it then (F05, F06, T34)."""

import httpx
import pytest

from tests.journeys.conftest import Play, ServeModels
from tests.support.answers import ask
from tests.support.catalogue import PROVIDERS, row
from tests.support.provider import Answer
from tests.support.scripts import COMMIT, asked, every_provider, ok, stall, words_then


def test_connecting_has_a_limit_of_its_own(serve_models: ServeModels) -> None:
    import socket

    with socket.socket() as full:  # its queue holds one connection, which nobody accepts
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        for provider in PROVIDERS:
            url = f"http://127.0.0.1:{port}"
            server = serve_models(row(provider, url, timeouts={"connect": 0.2, "first_token": 20}), **COMMIT)
            answer = ask(server)
            assert (answer.status, answer.code) == (504, "provider_connect_timeout"), provider
        for each in waiting:
            each.close()


@every_provider
def test_silence_before_the_first_word_ends_in_a_timeout_and_is_told_meanwhile(
    play: Play, serve_models: ServeModels, provider: str
) -> None:
    model = play(stall)
    server = serve_models(row(provider, model.url, timeouts={"first_token": 2, "stalled": 0.5}), MODEL_RETRIES=3)
    answer = ask(server)
    assert answer.phases == ["stalled"]
    assert answer.told("stalled")[0]["seconds"] >= 0.5
    assert answer.code == "provider_timeout"
    assert answer.last[1]["status"] == 504
    assert answer.last[1]["usage"]["input_tokens"] == 1, "it may have read, and charged for, the message"
    assert asked(model) == 1, "a model that has read the message is not asked again"
    assert model.seen.client_left.wait(5)


@pytest.mark.clock
@every_provider
def test_silence_in_the_middle_keeps_what_was_said_and_is_never_asked_again(
    play: Play, serve_models: ServeModels, provider: str
) -> None:
    model = play(words_then(stall))
    fallback = play(ok)
    server = serve_models(
        row(provider, model.url, timeouts={"idle": 0.6, "stalled": 0.2}, fallbacks=["other"]),
        row("ollama", fallback.url, id="other"),
        MODEL_RETRIES=3,
    )
    answer = ask(server)
    assert (answer.text, answer.phases, answer.code) == ("half ", ["stalled"], "provider_stalled")
    assert answer.last[1]["retryable"] is True
    assert (asked(model), asked(fallback)) == (1, 0)
    assert model.seen.client_left.wait(5)


@pytest.mark.clock
@every_provider
def test_a_model_that_goes_on_after_a_silence_is_heard_to_its_end(
    play: Play, serve_models: ServeModels, provider: str
) -> None:
    def script(answer: Answer) -> None:
        answer.chunk("one ")
        answer.pause(0.3)
        answer.chunk("two ")
        answer.pause(0.3)
        answer.say("three")

    model = play(script)
    answer = ask(serve_models(row(provider, model.url, timeouts={"stalled": 0.1})))
    assert [name for name, _ in answer.events] == ["start", "delta", "status", "delta", "status", "delta", "done"]
    assert answer.text == "one two three"


@every_provider
def test_the_whole_answer_has_a_limit_of_its_own_per_model(
    play: Play, serve_models: ServeModels, provider: str
) -> None:
    model = play(lambda answer: answer.endless(every=0.02))
    server = serve_models(row(provider, model.url, timeouts={"whole": 0.5}), row(provider, model.url, id="long"))
    assert ask(server).code == "stream_timeout"
    with httpx.stream("POST", f"{server.url}/chat", json={"message": "x", "model": "long"}) as response:
        pieces = response.iter_raw()
        for _ in range(60):  # more than a second
            next(pieces)
