"""A failure before the first word is a status, if it comes in time (F08)."""

import httpx
import pytest

from tests.journeys.conftest import Play, ServeModels
from tests.support.answers import ask, heard
from tests.support.catalogue import row
from tests.support.provider import Answer, Script
from tests.support.scripts import COMMIT, asked, every_provider, first, refuse, stall, words_then


@every_provider
@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (refuse(429, retry_after="7"), 429, "provider_rate_limited"),
        (refuse(500), 502, "provider_error"),
        (refuse(503), 503, "provider_overloaded"),
        (refuse(401), 502, "provider_auth"),
        (lambda answer: answer.reset(), 502, "provider_unreachable"),
        (lambda answer: answer.redirect("http://127.0.0.1:9/"), 502, "provider_error"),
        (lambda answer: answer.begin(), 502, "provider_incomplete"),
    ],
    ids=["429", "500", "503", "401", "reset", "redirect", "empty"],
)
def test_an_early_failure_is_a_status(
    play: Play, serve_models: ServeModels, provider: str, script: Script, status: int, code: str
) -> None:
    model = play(script)
    server = serve_models(row(provider, model.url), **COMMIT)
    answer = ask(server)
    assert (answer.status, answer.code) == (status, code)
    wait = {"provider_rate_limited": "7", "provider_auth": None}.get(code, "5")
    assert answer.headers.get("retry-after") == wait, "its own word, or ours, where asking again may help"
    again = heard(httpx.get(f"{server.url}/chat/streams/{answer.headers['x-stream-id']}"))
    assert again.code == code
    assert again.last[1].get("retry_after") == (7 if status == 429 else None)


@every_provider
def test_what_is_told_on_the_way_to_a_failure_does_not_make_it_late(
    play: Play, serve_models: ServeModels, provider: str
) -> None:
    refusing, also_refusing, silent = play(refuse(503)), play(refuse(429)), play(stall)
    server = serve_models(
        row(provider, refusing.url, fallbacks=["other"]),
        row(provider, also_refusing.url, id="other"),
        row(provider, silent.url, id="silent", timeouts={"first_token": 0.6, "stalled": 0.1}),
        MODEL_RETRIES=1,
        **COMMIT,
    )
    answer = ask(server)
    assert (answer.status, answer.code) == (429, "provider_rate_limited"), "the last one's, after all others"
    assert (asked(refusing), asked(also_refusing)) == (2, 2)
    log = heard(httpx.get(f"{server.url}/chat/streams/{answer.headers['x-stream-id']}"))
    assert log.phases == ["retrying", "model_switched", "retrying"]
    answer = ask(server, model="silent")
    assert (answer.status, answer.code) == (504, "provider_timeout")
    log = heard(httpx.get(f"{server.url}/chat/streams/{answer.headers['x-stream-id']}"))
    assert log.phases == ["stalled"]


@every_provider
def test_a_late_failure_is_the_last_event(play: Play, serve_models: ServeModels, provider: str) -> None:
    def script(answer: Answer) -> None:
        answer.pause(0.5)
        answer.status(503)

    model = play(script)
    answer = ask(serve_models(row(provider, model.url), STREAM_COMMIT_DELAY=0.1))
    assert (answer.status, answer.code) == (200, "provider_overloaded")


@every_provider
def test_headers_wait_for_neither_start_nor_status_but_for_the_first_word(
    play: Play, serve_models: ServeModels, provider: str
) -> None:
    model = play(first(1, refuse(503), words_then(stall)))
    server = serve_models(row(provider, model.url), MODEL_RETRIES=1, **COMMIT)
    with httpx.stream("POST", f"{server.url}/chat?format=events", json={"message": "x"}, timeout=10) as response:
        body = b""
        for piece in response.iter_raw():
            body += piece
            if b"half" in body:
                break
    assert body.index(b"event: start") < body.index(b"retrying") < body.index(b"half")


@every_provider
def test_a_client_that_left_while_headers_waited_is_noticed(
    play: Play, serve_models: ServeModels, provider: str
) -> None:
    model = play(stall)
    server = serve_models(row(provider, model.url), STREAM_COMMIT_DELAY=1)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/chat", json={"message": "x", "on_disconnect": "cancel"}, timeout=0.3)
    assert model.seen.client_left.wait(10)
