"""The chat streams of four providers, encoded: the words of one answer in, bytes out.

One object is one answer, since two of the dialects number and close their blocks. Nothing here sends.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens. `cached` ones are part of `input`, `reasoning` ones part of `output`."""

    input: int
    output: int
    cached: int = 0
    reasoning: int = 0


class Dialect(ABC):
    """The format of one provider."""

    name: ClassVar[str]
    path: ClassVar[str]
    """The end of its path."""
    content_type: ClassVar[str] = "text/event-stream"
    mark: ClassVar[bytes]
    """The mark that nothing more comes; empty if the finish itself says so."""
    reasons: ClassVar[dict[str, str]]
    """Its own names for OpenAI's finish reasons; any other reason is sent unchanged."""
    broken: ClassVar[str]
    """JSON that ends too early."""
    event: ClassVar[str | None] = None
    """The event's name in front of broken JSON."""

    def frame(self, data: str, event: str | None = None) -> bytes:
        """One block of an event stream."""
        return (f"event: {event}\n" if event else "").encode() + f"data: {data}\n\n".encode()

    def reason(self, reason: str) -> str:
        """Its own name for a finish reason."""
        return self.reasons.get(reason, reason)

    def opening(self) -> bytes:
        """The blocks before the first word."""
        return b""

    @abstractmethod
    def text(self, text: str) -> bytes:
        """A piece of the answer."""

    @abstractmethod
    def reasoning(self, text: str) -> bytes:
        """A piece of what the model thinks."""

    @abstractmethod
    def call(self, index: int, id: str, name: str, arguments: Sequence[str]) -> list[bytes]:
        """Tool call number `index`, from 0, with its arguments in these pieces."""

    @abstractmethod
    def finish(self, reason: str, spent: Spent) -> bytes:
        """The finish reason and the usage, without the mark."""

    @abstractmethod
    def error(self, message: str) -> bytes:
        """An error in the middle of a stream."""

    @abstractmethod
    def refusal(self, code: int, message: str) -> dict[str, Any]:
        """The body of an error."""


class OpenAI(Dialect):
    """Chat completions."""

    name = "openai"
    path = "/chat/completions"
    mark = b"data: [DONE]\n\n"
    reasons: ClassVar = {}
    broken = '{"choices": [{"index": 0, "delta": {"content": "'

    def chunk(self, delta: dict[str, Any], finish: str | None = None, usage: dict[str, Any] | None = None) -> bytes:
        """One chunk; that with the usage has no choices."""
        choices = [] if usage else [{"index": 0, "delta": delta, "finish_reason": finish}]
        body = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "scripted", "choices": choices}
        return self.frame(json.dumps({**body, "usage": usage} if usage else body))

    def text(self, text: str) -> bytes:
        return self.chunk({"content": text})

    def reasoning(self, text: str) -> bytes:
        return self.chunk({"reasoning_content": text})

    def call(self, index: int, id: str, name: str, arguments: Sequence[str]) -> list[bytes]:
        first = {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}
        more = [{"index": index, "function": {"arguments": piece}} for piece in arguments]
        return [self.chunk({"tool_calls": [piece]}) for piece in (first, *more)]

    def finish(self, reason: str, spent: Spent) -> bytes:
        return self.chunk({}, finish=self.reason(reason)) + self.chunk({}, usage=self.usage(spent))

    def usage(self, spent: Spent) -> dict[str, Any]:
        """The usage in its own format."""
        return {
            "prompt_tokens": spent.input,
            "completion_tokens": spent.output,
            "total_tokens": spent.input + spent.output,
            **({"prompt_tokens_details": {"cached_tokens": spent.cached}} if spent.cached else {}),
            **({"completion_tokens_details": {"reasoning_tokens": spent.reasoning}} if spent.reasoning else {}),
        }

    def error(self, message: str) -> bytes:
        return self.frame(json.dumps({"error": {"message": message, "type": "server_error", "code": "overloaded"}}))

    def refusal(self, code: int, message: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": "scripted", "param": None, "code": str(code)}}


class Anthropic(Dialect):
    """Messages: text and thoughts are numbered blocks, each opened and closed."""

    name = "anthropic"
    path = "/messages"
    reasons: ClassVar = {
        "stop": "end_turn", "length": "max_tokens", "content_filter": "refusal", "tool_calls": "tool_use",
    }  # fmt: skip
    broken = '{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "'
    event = "content_block_delta"
    mark = b'event: message_stop\ndata: {"type": "message_stop"}\n\n'

    def __init__(self) -> None:
        self._index = -1
        self._open: str | None = None

    def opening(self) -> bytes:
        message = {"id": "m1", "type": "message", "role": "assistant", "model": "scripted", "content": []}
        ends = {"stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 11, "output_tokens": 1}}
        return self._event("message_start", message={**message, **ends})

    def text(self, text: str) -> bytes:
        return self._block("text", {"text": ""}) + self._delta({"type": "text_delta", "text": text})

    def reasoning(self, text: str) -> bytes:
        start = self._block("thinking", {"thinking": "", "signature": ""})
        return start + self._delta({"type": "thinking_delta", "thinking": text})

    def call(self, index: int, id: str, name: str, arguments: Sequence[str]) -> list[bytes]:
        start = self._block("tool_use", {"id": id, "name": name, "input": {}})
        deltas = [self._delta({"type": "input_json_delta", "partial_json": piece}) for piece in ("", *arguments)]
        return [start, *deltas, self._close()]

    def finish(self, reason: str, spent: Spent) -> bytes:
        usage: dict[str, Any] = {
            "input_tokens": spent.input - spent.cached,  # its own count leaves out what it read from the cache
            "cache_read_input_tokens": spent.cached,
            "cache_creation_input_tokens": 0,
            "output_tokens": spent.output,
        }
        if spent.reasoning:
            usage["output_tokens_details"] = {"thinking_tokens": spent.reasoning}
        delta = {"stop_reason": self.reason(reason), "stop_sequence": None}
        return self._close() + self._event("message_delta", delta=delta, usage=usage)

    def error(self, message: str) -> bytes:
        return self._event("error", error={"type": "overloaded_error", "message": message})

    def refusal(self, code: int, message: str) -> dict[str, Any]:
        kinds = {401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}
        return {"type": "error", "error": {"type": kinds.get(code, "api_error"), "message": message}}

    def _block(self, kind: str, empty: dict[str, Any]) -> bytes:
        if self._open == kind:
            return b""
        closed = self._close()
        self._index, self._open = self._index + 1, kind
        return closed + self._event("content_block_start", index=self._index, content_block={"type": kind, **empty})

    def _close(self) -> bytes:
        kind, self._open = self._open, None
        if kind is None:
            return b""
        signed = self._delta({"type": "signature_delta", "signature": "c2ln"}) if kind == "thinking" else b""
        return signed + self._event("content_block_stop", index=self._index)

    def _delta(self, delta: dict[str, str]) -> bytes:
        return self._event("content_block_delta", index=self._index, delta=delta)

    def _event(self, kind: str, **fields: Any) -> bytes:
        return self.frame(json.dumps({"type": kind, **fields}), kind)


class Cohere(Dialect):
    """The second version of chat: numbered blocks as well, and an error is a way to end."""

    name = "cohere"
    path = "/v2/chat"
    reasons: ClassVar = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL", "error": "ERROR"}
    broken = '{"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "'
    event = "content-delta"
    mark = b"data: [DONE]\n\n"

    def __init__(self) -> None:
        self._index = -1
        self._open: str | None = None

    def opening(self) -> bytes:
        message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        return self._event("message-start", id="m1", delta={"message": message})

    def text(self, text: str) -> bytes:
        return self._say("text", text)

    def reasoning(self, text: str) -> bytes:
        return self._say("thinking", text)

    def call(self, index: int, id: str, name: str, arguments: Sequence[str]) -> list[bytes]:
        def told(event: str, call: dict[str, Any]) -> bytes:
            return self._event(event, index=index, delta={"message": {"tool_calls": call}})

        start = {"id": id, "type": "function", "function": {"name": name, "arguments": ""}}
        more = [told("tool-call-delta", {"function": {"arguments": piece}}) for piece in arguments]
        return [self._close() + told("tool-call-start", start), *more, self._event("tool-call-end", index=index)]

    def finish(self, reason: str, spent: Spent) -> bytes:
        counted = {"input_tokens": spent.input, "output_tokens": spent.output}
        usage = {"billed_units": counted, "tokens": counted, "cached_tokens": spent.cached}
        return self._close() + self._event(
            "message-end", delta={"finish_reason": self.reason(reason), "usage": usage}, id="m1"
        )

    def error(self, message: str) -> bytes:
        return self._close() + self._event("message-end", delta={"finish_reason": "ERROR", "error": message})

    def refusal(self, code: int, message: str) -> dict[str, Any]:
        return {"id": "m1", "message": message}

    def _say(self, kind: str, text: str) -> bytes:
        start = b""
        if self._open != kind:
            start = self._close()
            self._index, self._open = self._index + 1, kind
            start += self._content("content-start", {"type": kind, kind: ""})
        return start + self._content("content-delta", {kind: text})

    def _close(self) -> bytes:
        kind, self._open = self._open, None
        return b"" if kind is None else self._event("content-end", index=self._index)

    def _content(self, event: str, content: dict[str, str]) -> bytes:
        return self._event(event, index=self._index, delta={"message": {"content": content}})

    def _event(self, kind: str, **fields: Any) -> bytes:
        return self.frame(json.dumps({"type": kind, **fields}), kind)


class Ollama(Dialect):
    """One JSON object a line; the last has `done`."""

    name = "ollama"
    path = "/api/chat"
    content_type = "application/x-ndjson"
    reasons: ClassVar = {"tool_calls": "stop"}
    broken = '{"model": "scripted", "message": {"role": "assistant", "content": "'
    mark = b""

    def frame(self, data: str, event: str | None = None) -> bytes:
        return data.encode() + b"\n"

    def text(self, text: str) -> bytes:
        return self._line({"content": text})

    def reasoning(self, text: str) -> bytes:
        return self._line({"content": "", "thinking": text})

    def call(self, index: int, id: str, name: str, arguments: Sequence[str]) -> list[bytes]:
        function = {"name": name, "arguments": json.loads("".join(arguments) or "{}")}  # whole, and without an id
        return [self._line({"content": "", "tool_calls": [{"function": function}]})]

    def finish(self, reason: str, spent: Spent) -> bytes:
        counted = {"prompt_eval_count": spent.input, "eval_count": spent.output, "total_duration": 1}
        return self._line({"content": ""}, done=True, done_reason=self.reason(reason), **counted)

    def error(self, message: str) -> bytes:
        return self.frame(json.dumps({"error": message}))

    def refusal(self, code: int, message: str) -> dict[str, Any]:
        return {"error": message}

    def _line(self, message: dict[str, Any], *, done: bool = False, **fields: Any) -> bytes:
        when = "2026-01-01T00:00:00Z"
        said = {"model": "scripted", "created_at": when, "message": {"role": "assistant", **message}, "done": done}
        return self.frame(json.dumps({**said, **fields}))


DIALECTS: tuple[type[Dialect], ...] = (OpenAI, Anthropic, Cohere, Ollama)
