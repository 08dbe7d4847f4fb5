"""The one place that translates LangChain's chunks into the domain's events."""

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import UsageMetadata

from chains.core.reading.surrogates import Mender
from chains.core.reading.tool_calls import ToolCalls
from domain.errors import StreamForgeError
from domain.events import Delta, FinishReason, Reasoning, ToolCall
from domain.models import Finished
from domain.usage import MAX_TOKENS, Usage

# Chat completions, Ollama; Anthropic; Cohere. A reason that is not listed counts as "stop".
_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
    "tool_use": "tool_calls",
    "complete": "stop",
    "error_limit": "length",
    "error_toxic": "content_filter",
    "tool_call": "tool_calls",
}
# How a stream that otherwise looks fine reports an incomplete answer: routers, Cohere, vLLM, DeepSeek.
_FAILURES = {
    "error": "provider_error",
    "timeout": "provider_incomplete",
    "user_cancel": "provider_incomplete",
    "abort": "provider_incomplete",
    "insufficient_system_resource": "provider_incomplete",
}
_NAMES = ("finish_reason", "stop_reason", "done_reason")


class Translator:
    """Translates one answer's chunks, in order, into deltas, thoughts, calls, usage and the final `Finished`."""

    def __init__(self) -> None:
        self._text = Mender()
        self._thoughts = Mender()
        self._calls = ToolCalls()
        self._reason: str | None = None

    def text(self, chunk: AIMessageChunk) -> str:
        """The text that the chunk adds to the answer, possibly empty."""
        content = chunk.content
        text = content if isinstance(content, str) else str(chunk.text)
        return self._text.mend(text) if text or self._text.held else ""

    def calls(self, chunk: AIMessageChunk) -> list[ToolCall]:
        """The pieces of tool calls that the chunk adds."""
        return [call for piece in chunk.tool_call_chunks if (call := self._calls.add(piece)) is not None]

    def rest(self, chunk: AIMessageChunk) -> list[Reasoning | Usage]:
        """The thoughts and usage in the chunk."""
        found: list[Reasoning | Usage] = []
        if thought := self._thoughts.mend(_thought(chunk)):
            found.append(Reasoning(thought))
        if metadata := chunk.response_metadata:
            self._reason = _reason(metadata) or self._reason
        if (spent := chunk.usage_metadata) is not None and (spent["input_tokens"] or spent["output_tokens"]):
            found.append(_usage(spent))
        return found

    def finish(self) -> list[Delta | ToolCall | Finished]:
        """The last events of the answer; raises `provider_incomplete` if the model never finished.

        An answer with tool calls finishes with `tool_calls`, even if its server says that it simply stopped.
        """
        if self._reason is None:
            raise StreamForgeError("provider_incomplete")
        if code := _FAILURES.get(self._reason):
            raise StreamForgeError(code)
        reason = _REASONS.get(self._reason, "stop")
        if self._calls and reason == "stop":
            reason = "tool_calls"
        left: list[Delta | ToolCall | Finished] = [Delta(rest)] if (rest := self._text.rest()) else []
        return [*left, *self._calls.finish(whole=reason == "tool_calls"), Finished(reason)]


def _thought(chunk: AIMessageChunk) -> str:
    """The thoughts in a chunk, wherever the package puts them."""
    if thought := chunk.additional_kwargs.get("reasoning_content"):
        return str(thought)
    if isinstance(chunk.content, str):
        return ""
    return "".join(_thought_in(block) for block in chunk.content if isinstance(block, dict))


def _thought_in(block: Mapping[str, Any]) -> str:
    match block.get("type"):
        case "thinking":
            return str(block.get("thinking") or "")
        case "reasoning":
            parts = block.get("summary") or []
            return str(block.get("reasoning") or "") + "".join(str(part.get("text") or "") for part in parts)
    return ""


def _usage(spent: UsageMetadata) -> Usage:
    cached = spent.get("input_token_details", {}).get("cache_read")
    thought = spent.get("output_token_details", {}).get("reasoning")
    return Usage(
        _count(spent["input_tokens"]),
        _count(spent["output_tokens"]),
        True,
        None if cached is None else _count(cached),
        None if thought is None else _count(thought),
    )


def _count(tokens: int) -> int:
    """The number that a server sent, at most `MAX_TOKENS`."""
    return max(0, min(tokens, MAX_TOKENS))


def _reason(metadata: Mapping[str, Any]) -> str | None:
    """Why the model finished, in lower case; OpenAI's Responses API has reasons of its own."""
    for name in _NAMES:
        if reason := metadata.get(name):
            return str(reason).lower()
    match metadata.get("status"):
        case "completed":
            return "stop"
        case "incomplete":
            why = (metadata.get("incomplete_details") or {}).get("reason")
            return "content_filter" if why == "content_filter" else "length"
        case "failed":
            return "error"
    return None
