"""A model that fails before its first word is asked again: when, how often, and for how long (F05, F07, F08)."""

import pytest

from tests.journeys.conftest import Play, ServeModels
from tests.support.answers import ask
from tests.support.catalogue import row
from tests.support.provider import Answer, retry_date
from tests.support.scripts import COMMIT, asked, every_provider, first, gaps, refuse, stall


@every_provider
@pytest.mark.parametrize("code", [429, 500, 503, 529])
def test_a_refusal_that_may_pass_is_asked_again(
    play: Play, serve_models: ServeModels, provider: str, code: int
) -> None:
    model = play(first(2, refuse(code)))
    answer = ask(serve_models(row(provider, model.url), MODEL_RETRIES=2))
    assert answer.text == "fine answer"
    assert [told["attempt"] for told in answer.told("retrying")] == [2, 3]
    reason = {429: "provider_rate_limited", 500: "provider_error"}.get(code, "provider_overloaded")
    assert {told["reason"] for told in answer.told("retrying")} == {reason}
    assert asked(model) == 3
    attempts = answer.last[1]["attempts"]
    assert [attempt.get("error") for attempt in attempts] == [reason, reason, None]
    assert answer.last[1]["usage"]["exact"] is True


@every_provider
@pytest.mark.parametrize(
    ("code", "ours"),
    [(400, "provider_refused"), (401, "provider_auth"), (403, "provider_auth"), (404, "provider_model")],
)
def test_a_refusal_for_good_is_not_asked_again(
    play: Play, serve_models: ServeModels, provider: str, code: int, ours: str
) -> None:
    model = play(refuse(code))
    answer = ask(serve_models(row(provider, model.url), MODEL_RETRIES=3, **COMMIT))
    assert (answer.status, answer.code) == (502, ours)
    assert asked(model) == 1


@every_provider
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_for_in_both_its_forms(
    play: Play, serve_models: ServeModels, provider: str, form: str
) -> None:
    def busy(answer: Answer) -> None:
        answer.status(429, headers={"retry-after": "1" if form == "seconds" else retry_date(1.999)})

    model = play(first(1, busy))
    answer = ask(serve_models(row(provider, model.url), MODEL_RETRIES=1))
    assert answer.text == "fine answer"
    (gap,) = gaps(model)
    assert 0.9 <= gap < 10


@every_provider
def test_an_absurd_retry_after_is_capped(play: Play, serve_models: ServeModels, provider: str) -> None:
    model = play(first(1, refuse(429, retry_after="86400000")))
    answer = ask(serve_models(row(provider, model.url), MODEL_RETRIES=1, MODEL_RETRY_AFTER_MAX=0.2))
    assert answer.text == "fine answer"
    assert answer.told("retrying")[0]["delay"] < 1


@every_provider
def test_the_waits_double_and_are_counted(play: Play, serve_models: ServeModels, provider: str) -> None:
    model = play(refuse(503))
    answer = ask(serve_models(row(provider, model.url), MODEL_RETRIES=3, MODEL_RETRY_BACKOFF=0.1))
    delays = [told["delay"] for told in answer.told("retrying")]
    assert all(0.05 * 2**n <= delay <= 0.1 * 2**n for n, delay in enumerate(delays)), delays
    assert asked(model) == 4
    assert all(gap >= delay for gap, delay in zip(gaps(model), delays, strict=True))


@every_provider
def test_no_retry_begins_beyond_the_budget(play: Play, serve_models: ServeModels, provider: str) -> None:
    model = play(refuse(503, retry_after="3"))
    answer = ask(serve_models(row(provider, model.url), MODEL_RETRIES=5, MODEL_BUDGET=2, **COMMIT))
    assert (answer.status, answer.code) == (503, "provider_overloaded")
    assert answer.headers["retry-after"] == "3"
    assert asked(model) == 1


@every_provider
def test_later_attempts_have_no_longer_than_the_budget_for_their_first_word(
    play: Play, serve_models: ServeModels, provider: str
) -> None:
    silent, also_silent = play(stall), play(stall)
    server = serve_models(
        row(provider, silent.url, timeouts={"first_token": 0.5}, fallbacks=["other"]),
        row(provider, also_silent.url, id="other", timeouts={"first_token": 20}),
        MODEL_BUDGET=1,
        **COMMIT,
    )
    assert ask(server, timeout=15).code == "provider_timeout"
    assert (asked(silent), asked(also_silent)) == (1, 1)
