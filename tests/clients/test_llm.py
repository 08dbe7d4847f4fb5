"""The command line tool `llm` against a real server, as its users have it: by its own files and options."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients.llm import SCRIPTS, Tool
from tests.clients.test_openai_python import agent
from tests.conftest import missing
from tests.journeys.conftest import Play, ServeModels
from tests.support.catalogue import row
from tests.support.keys import KeyRing
from tests.support.provider import Answer
from tests.support.scripts import asked, words_then
from tests.support.server import LiveServer
from tests.support.talk import told

pytestmark = pytest.mark.slow(reason="each command is a Python that loads its packages")

Serve = Callable[..., LiveServer]
TEXT = "This is a simulated streaming response\n"


@pytest.fixture
def llm(tmp_path: Path) -> Tool:
    if not SCRIPTS.exists():
        missing("llm (make test installs it)")
    folder = tmp_path / "llm"
    folder.mkdir()
    return Tool(folder)


def test_words_are_printed_as_they_come(llm: Tool, play: Play, serve_models: ServeModels) -> None:
    go_on = threading.Event()

    def script(answer: Answer) -> None:
        answer.chunk("one ")
        go_on.wait(20)
        answer.chunk("two")
        answer.finish()

    llm.configure(serve_models(row("openai", play(script).url)).url)
    with llm.start("-m", "forge", "count") as running:
        assert running.stdout is not None
        assert os.read(running.stdout.fileno(), 100) == b"one "
        go_on.set()
        assert running.communicate(timeout=30)[0] == b"two\n"


@pytest.mark.parametrize("how", [[], ["--no-stream"]], ids=str)
def test_an_answer_comes_with_its_usage(llm: Tool, serve: Serve, how: list[str]) -> None:
    llm.configure(serve().url, "simulated")
    ended = llm.run("-m", "forge", *how, "--usage", "What is the weather in Paris?")
    assert (ended.returncode, ended.stdout) == (0, TEXT)
    assert "6 input, 6 output" in ended.stderr


def test_a_conversation_goes_on(llm: Tool, play: Play, serve_models: ServeModels) -> None:
    model = play(lambda answer: answer.say(f"answer {answer.number}"))
    llm.configure(serve_models(row("openai", model.url)).url)
    assert llm.ask("--system", "Be brief.", "first") == "answer 1\n"
    assert llm.ask("-c", "second") == "answer 2\n"
    assert told(model) == [("system", "Be brief."), ("user", "first"), ("assistant", "answer 1"), ("user", "second")]


def test_it_runs_a_tool_and_sends_its_result_back(llm: Tool, play: Play, serve_models: ServeModels) -> None:
    llm.configure(serve_models(row("openai", play(agent).url)).url)
    function = 'def get_weather(city: str) -> str:\n    "The weather in a city"\n    return f"sunny in {city}"'
    assert llm.ask("--functions", function, "What is the weather in Paris?").strip() == "It is sunny in Paris"


def test_an_answer_by_schema(llm: Tool, play: Play, serve_models: ServeModels) -> None:
    model = play(lambda answer: answer.say('{"city": ', '"Paris"}'))
    llm.configure(serve_models(row("openai", model.url)).url)
    assert llm.ask("--schema", "city str", "Where?") == '{"city": "Paris"}\n'
    wanted: dict[str, Any] = model.seen.requests[0]["body"]["response_format"]
    assert wanted["json_schema"]["schema"]["properties"] == {"city": {"type": "string"}}


def test_a_good_key_is_taken_and_a_wrong_one_is_told(llm: Tool, serve: Serve, tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "data")
    server = serve(AUTH_MODE="api_key", DATA_DIR=ring.folder)
    llm.configure(server.url, "simulated", key=ring.make("ann").text)
    assert llm.ask("hello") == TEXT
    refused = llm.run("-m", "forge", "--key", "sk-wrong", "hello")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "401 - Send an API key" in refused.stderr


def test_what_cannot_be_done_is_told(llm: Tool, serve: Serve) -> None:
    llm.configure(serve().url, "simulated")
    refused = llm.run("-m", "forge", "-o", "temperature", "0.5", "hello")
    assert refused.returncode == 1
    assert "does not take 'temperature'" in refused.stderr


@pytest.mark.parametrize("how", [[], ["--no-stream"]], ids=str)
def test_half_an_answer_is_an_error(llm: Tool, play: Play, serve_models: ServeModels, how: list[str]) -> None:
    model = play(words_then(lambda answer: answer.in_band_error()))
    llm.configure(serve_models(row("openai", model.url)).url)
    ended = llm.run("-m", "forge", *how, "hello")
    assert ended.returncode == 1
    assert "The model's server failed." in ended.stderr
    assert ended.stdout.startswith("" if how else "half ")
    assert asked(model) == 1
