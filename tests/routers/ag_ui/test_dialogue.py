"""Runs of AG-UI with tools or pictures, in words that are not OpenAI's."""

from typing import Any

import pytest
from ag_ui.core import RunAgentInput
from fastapi.exceptions import RequestValidationError

from domain.errors import StreamForgeError
from routers.ag_ui.dialogue import dialogue_of
from routers.openai.completion_request import CompletionRequest

PICTURE = "data:image/png;base64,eA=="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
OFFERED = {"name": "weather", "description": "The weather", "parameters": SCHEMA}


def run(*messages: dict[str, Any], tools: list[Any] | None = None) -> RunAgentInput:
    told = [{"id": str(number), **message} for number, message in enumerate(messages)]
    body = {"threadId": "t", "runId": "r", "state": {}, "context": [], "forwardedProps": {}}
    return RunAgentInput.model_validate({**body, "messages": told, "tools": tools or []})


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def image(value: str = "eA==", kind: str = "data") -> dict[str, Any]:
    return {"type": "image", "source": {"type": kind, "value": value, "mimeType": "image/png"}}


def test_a_model_is_asked_the_same_in_both_protocols() -> None:
    asked = dialogue_of(
        run(
            {"role": "developer", "content": "Be brief."},
            {"role": "activity", "activityType": "plan", "content": {}},
            user(text("Where"), text("is this?"), image(), text("And that?"), image(PICTURE, "url")),
            {"role": "assistant", "content": "Oslo.", "toolCalls": [CALL]},
            {"role": "reasoning", "content": "Norway, then."},
            {"role": "tool", "content": "Rain", "toolCallId": "c1", "error": "It is late."},
            {"role": "assistant", "toolCalls": []},
            {"role": "user", "content": "Thanks \ud800"},
            tools=[OFFERED],
        )
    )
    shown = {"type": "image_url", "image_url": {"url": PICTURE}}
    openai = {
        "messages": [
            {"role": "developer", "content": "Be brief."},
            user(text("Where"), text("is this?"), shown, text("And that?"), shown),
            {"role": "assistant", "content": "Oslo.", "tool_calls": [CALL]},
            {"role": "tool", "content": "Rain\nIt is late.", "tool_call_id": "c1"},
            {"role": "assistant"},
            {"role": "user", "content": "Thanks \ufffd"},
        ],
        "tools": [{"type": "function", "function": OFFERED}],
    }
    assert asked == CompletionRequest.model_validate(openai).ask()


def test_a_thread_of_text_alone_is_no_dialogue() -> None:
    media = {"type": "document", "source": {"type": "url", "value": "http://x/y.pdf"}}
    assert dialogue_of(run({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"})) is None
    assert dialogue_of(run(user(text("Hi"), image("x", "file"), media))) is None


HI = {"role": "user", "content": "Hi"}
PLAN = {"role": "activity", "activityType": "plan", "content": {}}
DEEP: dict[str, Any] = {}
for _ in range(60):
    DEEP = {"a": DEEP}

WRONG: dict[str, RunAgentInput] = {
    "messages/0/content/1/source": run(user(text("see"), image("!!"))),
    "messages/1/content/0/source": run(PLAN, user(image("http://example.org/cat.png", "url"))),
    "messages/0/content": run({"role": "user", "content": []}, tools=[OFFERED]),
    "messages/2/content": run(HI, PLAN, user(*[text("x")] * 1_001), tools=[OFFERED]),
    "messages/0/toolCalls/0/id": run({"role": "assistant", "toolCalls": [{**CALL, "id": ""}]}),
    "messages/1/toolCalls": run(HI, {"role": "assistant", "toolCalls": [CALL] * 129}),
    "messages/0/toolCallId": run({"role": "tool", "content": "Rain", "toolCallId": "c1"}),
    "tools/0/name": run(HI, tools=[{**OFFERED, "name": "a b"}]),
    "tools/0/parameters": run(HI, tools=[{**OFFERED, "parameters": DEEP}]),
    "tools": run(HI, tools=[OFFERED, OFFERED]),
    "messages": run(PLAN, tools=[OFFERED]),
}


@pytest.mark.parametrize("pointer", WRONG)
def test_what_is_wrong_is_named_in_the_clients_own_words(pointer: str) -> None:
    error: RequestValidationError | StreamForgeError
    try:
        dialogue_of(WRONG[pointer])
    except (RequestValidationError, StreamForgeError) as refused:
        error = refused
    else:
        pytest.fail("it was taken")
    if isinstance(error, RequestValidationError):
        assert "/".join(map(str, error.errors()[0]["loc"])) == f"body/{pointer}"
    else:
        assert (error.code, error.pointer) == ("invalid_request", f"#/{pointer}")
