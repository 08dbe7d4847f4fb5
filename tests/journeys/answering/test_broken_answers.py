"""Answers that break, lie or never end: what was said stays, and nothing is asked twice.

Shows F08, F09, F10, T18, T34 and T40.
"""

import pytest

from tests.journeys.conftest import Play, ServeModels
from tests.support.answers import ask
from tests.support.catalogue import PROVIDERS, row
from tests.support.provider import Answer, Script
from tests.support.scripts import COMMIT, asked, every_provider, ok, words_then


@every_provider
@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (lambda answer: answer.in_band_error(), "provider_error"),
        (lambda answer: answer.malformed(), "provider_error"),
        (lambda answer: answer.end(), "provider_incomplete"),
        (lambda answer: answer.end(cleanly=False), "provider_unreachable"),
        (lambda answer: (answer.pause(0.05), answer.reset()), "provider_unreachable"),
        (lambda answer: answer.big_chunk(10_000_000), "log_limit"),
    ],
    ids=["in-band", "malformed", "no-finish", "cut", "reset", "10MB"],
)
def test_trouble_in_the_middle_keeps_what_was_said_and_says_so(
    play: Play, serve_models: ServeModels, provider: str, trouble: Script, code: str
) -> None:
    model = play(words_then(trouble))
    server = serve_models(row(provider, model.url), MODEL_RETRIES=3)
    answer = ask(server)
    if provider == "anthropic" and "in_band" in str(trouble.__code__.co_names):
        code = "provider_overloaded"  # it says that itself
    assert (answer.text, answer.code) == ("half ", code)
    assert answer.last[1]["retryable"] is (code != "log_limit")
    assert asked(model) == 1


@every_provider
def test_bytes_may_come_one_by_one(play: Play, serve_models: ServeModels, provider: str) -> None:
    def script(answer: Answer) -> None:
        words = answer._words
        answer.begin()
        answer.drip(words.opening() + words.text("wörld \u2028 😀"))
        answer._opened = True
        answer.finish()

    assert ask(serve_models(row(provider, play(script).url))).text == "wörld \u2028 😀"


def test_other_line_ends_of_the_event_stream_format_are_read(play: Play, serve_models: ServeModels) -> None:
    def script(answer: Answer) -> None:
        words = answer._words
        answer.begin()
        body = words.opening() + words.text("one ") + words.text("two")
        answer.drip(body.replace(b"\n", b"\r\n"), 3)
        answer._opened = True
        answer.finish()

    for provider in ("openai", "anthropic", "cohere"):
        assert ask(serve_models(row(provider, play(script).url))).text == "one two"


def test_a_wrong_content_type_is_read_for_what_it_is(play: Play, serve_models: ServeModels) -> None:
    model = play(lambda answer: answer.status(200, "<html>maintenance</html>", {"content-type": "text/html"}))
    for provider in PROVIDERS:
        answer = ask(serve_models(row(provider, model.url), **COMMIT))
        assert answer.status == 502, provider
        assert answer.code in ("provider_error", "provider_incomplete"), provider


@every_provider
def test_an_endless_stream_is_stopped_at_the_limit_of_its_log(
    play: Play, serve_models: ServeModels, provider: str
) -> None:
    model = play(lambda answer: answer.endless())
    answer = ask(serve_models(row(provider, model.url), STREAM_MAX_EVENTS=50))
    assert answer.code == "log_limit"
    assert len(answer.events) == 50
    assert model.seen.client_left.wait(5)


@every_provider
def test_a_redirect_takes_no_prompt_elsewhere(play: Play, serve_models: ServeModels, provider: str) -> None:
    elsewhere = play(ok)
    model = play(lambda answer: answer.redirect(f"{elsewhere.url}/v1/chat/completions"))
    assert ask(serve_models(row(provider, model.url))).code == "provider_error"
    assert elsewhere.seen.connections == 0
