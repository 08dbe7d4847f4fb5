"""Keys, prompts and answers appear where they belong, and nowhere else (T22, T39)."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.journeys.conftest import Play
from tests.support.answers import ask, heard
from tests.support.catalogue import PROVIDERS, row, write_catalogue
from tests.support.provider import Answer
from tests.support.server import process_server

KEY = "sk-canary-key-4711"
PROMPT = "canary-prompt-0815"
SYSTEM = "canary-system-3141"
ANSWER = "canary-answer-2718"


def whole(answer: Answer) -> None:
    answer.say(f"{ANSWER} ", reasoning="")


def echo_headers(answer: Answer) -> None:
    answer.echo_headers(400)


def echo_prompt(answer: Answer) -> None:
    answer.status(500, json.dumps({"error": {"message": f"{answer.request} {answer.headers}", "type": KEY}}))


def half(answer: Answer) -> None:
    answer.chunk(f"{ANSWER} ")
    answer.in_band_error(f"{KEY} {PROMPT} {ANSWER}")


def malformed(answer: Answer) -> None:
    answer.chunk(f"{ANSWER} ")
    answer.malformed()
    answer.finish()


def cut(answer: Answer) -> None:
    answer.chunk(f"{ANSWER} ")
    answer.reset()


SCRIPTS = [whole, echo_headers, echo_prompt, half, malformed, cut]


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_no_log_error_or_header_holds_a_key_a_prompt_or_an_answer(play: Play, tmp_path: Path, level: str) -> None:
    model = play(lambda answer: SCRIPTS[(answer.number - 1) % len(SCRIPTS)](answer))
    file = write_catalogue(tmp_path, *(row(name, model.url, id=name, key="canary") for name in PROVIDERS))
    settings: dict[str, Any] = {
        "MODELS_FILE": file,
        "PROVIDER_KEYS": json.dumps({"canary": KEY}),
        "LOG_LEVEL": level,
        "MODEL_RETRIES": 0,
        "MODEL_COOLING": 0,
    }
    with process_server(**settings) as (process, url):
        for name in PROVIDERS:
            for script in SCRIPTS:
                answer = ask(url, PROMPT, model=name, system=SYSTEM)
                shown = f"{answer.problem} {answer.headers} {[data for kind, data in answer.events if kind != 'delta']}"
                assert not any(secret in shown for secret in (KEY, PROMPT, SYSTEM, ANSWER)), (name, script)
                if answer.status != 200:
                    again = httpx.get(f"{url}/chat/streams/{answer.headers['x-stream-id']}")
                    assert heard(again).code == answer.code
        shown = httpx.get(f"{url}/models").text + httpx.get(f"{url}/openapi.json").text
        assert KEY not in shown
        assert model.url not in shown
        process.stop()
        log = "".join(process.log)
    assert log.count("stream ended") == len(PROVIDERS) * len(SCRIPTS)
    for secret in (KEY, PROMPT, SYSTEM, ANSWER, "scripted 4", model.url):
        lines = [line for line in process.log if secret in line]
        assert not lines, lines[0]
