"""From LangChain's chunks and exceptions to the words of the domain: the one place.

What the text of an answer is, is decided here: a surrogate pair that the provider split over two chunks is
joined, a lone surrogate and NUL become U+FFFD (databases and JSON parsers cannot hold them), and nothing
else is changed.
"""

import re
from collections.abc import Mapping
from typing import Any

import structlog
from langchain_core import exceptions as langchain
from langchain_core.messages import AIMessageChunk

from domain.errors import StreamForgeError
from domain.events import UNWRITABLE, Delta, Done, FinishReason
from domain.usage import Usage, estimate

log = structlog.get_logger("models")

_HIGH = re.compile(r"[\ud800-\udbff]\Z")
_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
# First match wins, so the narrower come first.
_FAILURES: list[tuple[type[BaseException], str]] = [
    (langchain.ContextOverflowError, "context_overflow"),
    (langchain.ModelAuthenticationError, "provider_auth"),
    (langchain.ModelPermissionDeniedError, "provider_auth"),
    (langchain.ModelNotFoundError, "provider_model"),
    (langchain.ModelRateLimitError, "provider_rate_limited"),
    (langchain.ModelTimeoutError, "provider_timeout"),
    (TimeoutError, "provider_timeout"),
    (langchain.ModelConnectionError, "provider_unreachable"),
    (langchain.ModelInvalidRequestError, "provider_refused"),
]


class Translator:
    """One answer's chunks, in order, into deltas and the event that ends them."""

    def __init__(self, model: str, message: str) -> None:
        self._model = model
        self._message = message
        self._held = ""
        self._deltas = 0
        self._usage: Usage | None = None
        self._reason: str | None = None

    def feed(self, chunk: AIMessageChunk) -> str:
        """The text that the chunk adds, perhaps none."""
        if (spent := chunk.usage_metadata) is not None:
            self._usage = Usage(spent["input_tokens"], spent["output_tokens"], exact=True)
        if metadata := chunk.response_metadata:
            self._reason = _reason(metadata) or self._reason
        text = str(chunk.text)
        if self._held or (text and UNWRITABLE.search(text)):
            text = self._mend(text)
        self._deltas += bool(text)
        return text

    def finish(self) -> list[Delta | Done]:
        """What is left once the chunks have ended; `provider_incomplete` if the model never said so."""
        if self._reason is None:
            raise StreamForgeError("provider_incomplete")
        if self._reason == "error":  # how some routers tell, in a stream that is fine otherwise, that it is not
            raise StreamForgeError("provider_error")
        rest: list[Delta | Done] = [Delta("\ufffd")] if self._held else []
        reason = _REASONS.get(self._reason, "stop")
        usage = self._usage or estimate(self._message, self._deltas + len(rest))
        return [*rest, Done(reason, self._model, usage)]

    def _mend(self, text: str) -> str:
        if not text:
            return ""
        text = self._held + text
        half = _HIGH.search(text)
        self._held = half[0] if half else ""
        text = text.removesuffix(self._held).replace("\x00", "\ufffd")
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _reason(metadata: Mapping[str, Any]) -> str | None:
    """Why the model ended, in chat completions' words; OpenAI's Responses API has words of its own."""
    if reason := metadata.get("finish_reason"):
        return str(reason)
    match metadata.get("status"):
        case "completed":
            return "stop"
        case "incomplete":
            why = (metadata.get("incomplete_details") or {}).get("reason")
            return "content_filter" if why == "content_filter" else "length"
        case "failed":
            return "error"
    return None


def failure(error: Exception) -> StreamForgeError:
    """The domain's error for whatever a provider's package raised. Its own words stay out."""
    if isinstance(error, StreamForgeError):
        return error
    code = next((code for kind, code in _FAILURES if isinstance(error, kind)), "provider_error")
    log.warning("a model failed", code=code, exc_info=error)
    return StreamForgeError(code)
