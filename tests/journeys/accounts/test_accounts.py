"""What a stream has used and cost is told at every end that it may come to, attempt by attempt, and logged once."""

import json
from pathlib import Path
from typing import Any

import httpx

from tests.journeys.conftest import Play, ServeModels
from tests.support.answers import Heard, ask, heard
from tests.support.catalogue import KEYS, row, write_catalogue
from tests.support.provider import Answer
from tests.support.server import process_server

MESSAGE = "one two three"
# As much money as tokens.
PRICE = {"input": 1_000_000, "output": 1_000_000}
REFUSED = {"input_tokens": 0, "output_tokens": 0, "exact": False}
HALF = {"input_tokens": 3, "output_tokens": 1, "exact": False}


def half_then_reset(answer: Answer) -> None:
    answer.chunk("half ")
    answer.pause(0.05)  # a reset overtakes what is under way
    answer.reset()


def half_then_silent(answer: Answer) -> None:
    answer.chunk("half ")
    answer.stall(20)


def money(amount: float) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD", "source": "catalogue"}


def cancelled(url: str) -> Heard:
    """An answer that is stopped after its first word, heard from its log."""
    with httpx.stream("POST", f"{url}/chat", json={"message": MESSAGE}, timeout=30) as response:
        next(response.iter_raw())
        path = f"{url}/chat/streams/{response.headers['x-stream-id']}"
        httpx.post(f"{path}/cancel")
    return heard(httpx.get(path))


def test_an_answer_that_failed_has_its_account(play: Play, serve_models: ServeModels) -> None:
    server = serve_models(row("openai", play(half_then_reset).url, price=PRICE))
    name, failed = ask(server, MESSAGE).last
    assert (name, failed["usage"], failed["cost"]) == ("error", HALF, money(4.0))
    assert "attempts" not in failed, "there was but one"


def test_an_answer_that_was_stopped_has_its_account(play: Play, serve_models: ServeModels) -> None:
    server = serve_models(row("openai", play(half_then_silent).url, price=PRICE))
    name, stopped = cancelled(server.url).last
    assert (name, stopped["usage"], stopped["cost"]) == ("cancelled", HALF, money(4.0))


def test_an_answer_of_the_second_model_that_was_stopped_has_both_accounts(
    play: Play, serve_models: ServeModels
) -> None:
    refusing, silent = play(lambda answer: answer.status(401)), play(half_then_silent)
    server = serve_models(
        row("openai", refusing.url, price=PRICE, fallbacks=["other"]), row("ollama", silent.url, id="other")
    )
    name, stopped = cancelled(server.url).last
    assert name == "cancelled"
    assert stopped["attempts"] == [
        {"model": "m", "usage": REFUSED, "cost": money(0.0), "error": "provider_auth"},
        {"model": "other", "usage": HALF, "cost": None},
    ]
    assert (stopped["usage"], stopped["cost"]) == (HALF, None), "a part has no known price"


def test_the_log_has_one_line_for_each_account(play: Play, tmp_path: Path) -> None:
    def script(answer: Answer) -> None:
        if answer.number == 1:
            answer.status(503)
        else:
            answer.say("fine ", "answer")

    file = write_catalogue(tmp_path, row("openai", play(script).url, price=PRICE))
    settings: dict[str, Any] = {
        "MODELS_FILE": file,
        "LLM_MODEL": "m",
        "PROVIDER_KEYS": json.dumps(KEYS),
        "MODEL_RETRY_BACKOFF": 0,
    }
    with process_server(**settings) as (process, url):
        answer = ask(url, MESSAGE)
        line = process.wait_for_event("stream ended")
        process.stop()
    told = {name: line[name] for name in ("state", "model", "input_tokens", "output_tokens", "exact", "cost", "deltas")}
    assert told == {
        "state": "completed",
        "model": "m",
        "input_tokens": 11,
        "output_tokens": 2,
        "exact": True,
        "cost": "13 USD",
        "deltas": 2,
    }
    assert line["attempts"] == ["m: provider_overloaded", "m: answered"]
    assert line["stream_id"] == answer.headers["x-stream-id"]
    assert sum("stream ended" in each for each in process.log) == 1
