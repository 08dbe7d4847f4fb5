"""What /openapi.json says of a chat completion; `wires/openai.py` writes it."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from domain.events import AnswerEvent, Delta, Done, FinishReason, Started
from domain.usage import NOTHING_USED, Spent
from routers.schemas.base import Count, ResponseModel
from wires.openai import OpenAIEncoder


class FunctionOut(ResponseModel):
    """The function to call; `arguments` are JSON."""

    name: str = Field(max_length=200)
    arguments: str = Field(max_length=2**30)


class CallOut(ResponseModel):
    """A tool call that the model makes."""

    id: str = Field(max_length=200)
    type: Literal["function"]
    function: FunctionOut


class AnswerOut(ResponseModel):
    """The answer. `reasoning_content` is the model's reasoning, which is not part of it."""

    role: Literal["assistant"]
    content: str | None = Field(max_length=2**30)
    refusal: None
    reasoning_content: str | None = Field(None, max_length=2**30)
    tool_calls: list[CallOut] | None = Field(None, max_length=100_000)


class ChoiceOut(ResponseModel):
    """The only answer, and why it ended."""

    index: Literal[0]
    message: AnswerOut
    logprobs: None
    finish_reason: FinishReason


class CachedOut(ResponseModel):
    """Details of the prompt's tokens."""

    cached_tokens: Count


class ReasonedOut(ResponseModel):
    """Details of the answer's tokens."""

    reasoning_tokens: Count


class CompletionUsage(ResponseModel):
    """Tokens. The last two only if the model counts them."""

    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    prompt_tokens_details: CachedOut | None = None
    completion_tokens_details: ReasonedOut | None = None


class Completion(ResponseModel):
    """A whole answer."""

    model_config = ConfigDict(title="Completion")

    id: str = Field(max_length=100)
    object: Literal["chat.completion"]
    created: int = Field(ge=0, le=2**53)
    model: str = Field(max_length=200)
    choices: list[ChoiceOut] = Field(min_length=1, max_length=1)
    usage: CompletionUsage


def _example() -> str:
    encoder = OpenAIEncoder("9f0c5d1e7a3b4c6d8e9f0a1b2c3d4e5f")
    events: list[AnswerEvent] = [
        Started("9f0c5d1e7a3b4c6d8e9f0a1b2c3d4e5f", "simulated", 1763800000),
        Delta("Hello"),
        Done("stop", "simulated", Spent(NOTHING_USED, None)),
    ]
    return "".join(encoder.encode(seq, event).decode() for seq, event in enumerate(events, 1))


CONTENT: dict[str, Any] = {
    "application/json": {"schema": {"$ref": "#/components/schemas/Completion"}},
    "text/event-stream": {
        "itemSchema": {
            "type": "object",
            "required": ["data"],
            "properties": {"data": {"type": "string", "description": "A chunk as JSON; the last one is `[DONE]`"}},
        },
        "examples": {"stream": {"summary": "With `stream`", "value": _example()}},
    },
}
"""The content of a response to a chat completion: whole, or streamed."""
