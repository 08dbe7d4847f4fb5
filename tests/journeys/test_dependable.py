"""What may go wrong at a model, and what becomes of it: by script, on every provider's wire, counted at the far end."""

import itertools
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.journeys.conftest import Play, ServeModels
from tests.support.answers import ask, heard
from tests.support.catalogue import PROVIDERS, row
from tests.support.provider import Answer, Provider, retry_date
from tests.support.server import wait_for

Script = Callable[[Answer], None]

every_provider = pytest.mark.parametrize("provider", PROVIDERS)
COMMIT: dict[str, Any] = {"STREAM_COMMIT_DELAY": 20}


def ok(answer: Answer) -> None:
    answer.say("fine ", "answer")


def stall(answer: Answer) -> None:
    answer.stall(20)


def words_then(trouble: Script) -> Script:
    def script(answer: Answer) -> None:
        answer.chunk("half ")
        trouble(answer)

    return script


def refuse(code: int, **headers: str) -> Script:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda answer: answer.status(code, headers=named)


def first(times: int, trouble: Script, then: Script = ok) -> Script:
    return lambda answer: (trouble if answer.number <= times else then)(answer)


def asked(model: Provider) -> int:
    return len(model.seen.requests)


def gaps(model: Provider) -> list[float]:
    moments = [request["at"] for request in model.seen.requests]
    return [later - earlier for earlier, later in itertools.pairwise(moments)]


# Clocks.


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
    server = serve_models(row(provider, model.url, timeouts={"first_token": 0.6, "stalled": 0.2}), MODEL_RETRIES=3)
    answer = ask(server)
    assert answer.phases == ["stalled"]
    assert answer.told("stalled")[0]["seconds"] >= 0.2
    assert answer.code == "provider_timeout"
    assert answer.last[1]["status"] == 504
    assert answer.last[1]["usage"]["input_tokens"] == 1, "it may have read, and charged for, the message"
    assert asked(model) == 1, "a model that has read the message is not asked again"
    assert model.seen.client_left.wait(5)


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


# Retries.


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


# Fallbacks.


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


# Early failures are statuses.


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


# What a stream may hold.


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
