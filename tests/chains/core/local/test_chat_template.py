"""What the embedded model is really told: as its file says, and of tools besides."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from chains.core.local.server import local_models
from tests.conftest import missing
from tests.support.completions import WEATHER
from tests.support.llama import KEY, llama

SMOLLM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
CALL = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Zürich"}'}}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    if not local_models():
        missing("the local model")
    with llama() as started:
        yield started


def prompt(url: str, *messages: tuple[str, Any], **more: Any) -> str:
    """What llama.cpp makes of a conversation."""
    said = [
        {"role": role, **(content if isinstance(content, dict) else {"content": content})} for role, content in messages
    ]
    headers = {"authorization": f"Bearer {KEY}"}
    answer = httpx.post(f"{url}/apply-template", json={"messages": said, **more}, headers=headers)
    return str(answer.json()["prompt"])


def turn(role: str, text: str) -> str:
    return f"<|im_start|>{role}\n{text}<|im_end|>\n"


BEGIN = "<|im_start|>assistant\n"


def test_without_tools_it_is_the_files_own_template(url: str) -> None:
    assert prompt(url, ("user", "hi ")) == turn("system", SMOLLM) + turn("user", "hi ") + BEGIN
    talk = [("system", "Be brief."), ("user", "a"), ("assistant", "b\n"), ("system", "c"), ("user", "d")]
    assert prompt(url, *talk) == "".join(turn(*each) for each in talk) + BEGIN


def test_it_is_told_of_tools_of_its_calls_and_of_their_results(url: str) -> None:
    called = {"content": None, "tool_calls": [CALL, {**CALL, "id": "c2"}]}
    results = [("tool", {"content": text, "tool_call_id": call}) for text, call in (("sunny", "c1"), ("rain", "c2"))]
    told = prompt(url, ("system", "Be brief."), ("user", "a"), ("assistant", called), *results, tools=[WEATHER])
    system, user, assistant, result, begin = told.split("<|im_start|>")[1:]
    assert system.startswith("system\nBe brief.\n\n# Tools\n")
    assert '"name": "get_weather"' in system
    assert '"city"' in system
    assert user == "user\na<|im_end|>\n"
    call = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Zürich"}}\n</tool_call>'
    assert assistant == f"assistant\n{call}\n{call}<|im_end|>\n"
    response = "<tool_response>\n{}\n</tool_response>"
    assert result == f"user\n{response.format('sunny')}\n{response.format('rain')}<|im_end|>\n"
    assert begin == "assistant\n"
