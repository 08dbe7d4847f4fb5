"""Translates the exceptions of the providers' packages into the domain's errors.

OpenAI's and Anthropic's packages raise LangChain's errors. For Cohere's and Ollama's, and for every error in
mid-stream, only the HTTP status or the HTTP client's exception is known. The provider's own words are left out: they
may repeat keys and prompts.
"""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import httpx2
import structlog
from langchain_core import exceptions as langchain

from domain.errors import StreamForgeError

log = structlog.get_logger("models")

# The first match wins, so narrower types come first.
_KINDS: list[tuple[tuple[type[BaseException], ...], str]] = [
    ((langchain.ContextOverflowError,), "context_overflow"),
    ((httpx.ConnectTimeout, httpx2.ConnectTimeout), "provider_connect_timeout"),
    ((httpx.ConnectError, httpx2.ConnectError, httpx.ProxyError, httpx2.ProxyError), "provider_unreachable"),
    ((langchain.ModelAuthenticationError, langchain.ModelPermissionDeniedError), "provider_auth"),
    ((langchain.ModelNotFoundError,), "provider_model"),
    ((langchain.ModelRateLimitError,), "provider_rate_limited"),
    ((langchain.ModelTimeoutError, httpx.TimeoutException, httpx2.TimeoutException, TimeoutError), "provider_timeout"),
    ((langchain.ModelInvalidRequestError,), "provider_refused"),
    ((httpx.NetworkError, httpx2.NetworkError, ConnectionError), "provider_unreachable"),
    ((httpx.ProtocolError, httpx2.ProtocolError), "provider_unreachable"),
]
_STATUSES = {
    400: "provider_refused",
    401: "provider_auth",
    403: "provider_auth",
    404: "provider_model",
    408: "provider_timeout",
    413: "provider_refused",
    422: "provider_refused",
    429: "provider_rate_limited",
    503: "provider_overloaded",
    504: "provider_timeout",
    529: "provider_overloaded",  # Anthropic's own
}
_MAX_WAIT = 86_400


def failure(error: Exception) -> StreamForgeError:
    """The domain's error for `error`, with the time to wait if the provider gave one."""
    if isinstance(error, StreamForgeError):
        return error
    chain = list(_chain(error))
    code = _code(chain)
    log.warning("a model failed", code=code, exc_info=error)
    return StreamForgeError(code, retry_after=next(filter(None, map(_retry_after, chain)), None))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and its causes: packages wrap the exceptions of their HTTP client."""
    for _ in range(8):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _code(chain: list[BaseException]) -> str:
    # OpenAI's package no longer puts the code in its text, where LangChain looks for it.
    overflow = getattr(chain[0], "code", None) == "context_length_exceeded"
    if overflow or isinstance(chain[0], langchain.ContextOverflowError):
        return "context_overflow"
    status = getattr(chain[0], "status_code", None)
    if isinstance(status, int) and status in _STATUSES:
        return _STATUSES[status]
    if "overloaded_error" in str(getattr(chain[0], "type", "")):  # from Anthropic, in a stream that began well
        return "provider_overloaded"
    if isinstance(status, int) and 300 <= status < 600:
        return "provider_error"
    for kinds, code in _KINDS:
        if any(isinstance(error, kinds) for error in chain):
            return code
    return "provider_error"


def _retry_after(error: BaseException) -> int | None:
    headers = getattr(getattr(error, "response", None), "headers", None) or getattr(error, "headers", None)
    if not isinstance(headers, Mapping):
        return None
    return wait_of({str(name).lower(): str(value) for name, value in headers.items()})


def wait_of(headers: Mapping[str, Any]) -> int | None:
    """Whole seconds, rounded up, from `retry-after-ms` or from `Retry-After` (RFC 9110, 10.2.3) in either form."""
    seconds = _number(headers.get("retry-after-ms"))
    seconds = seconds / 1000 if seconds is not None else _number(headers.get("retry-after"))
    if seconds is None:
        try:
            moment = parsedate_to_datetime(headers.get("retry-after") or "")
        except (ValueError, OverflowError):  # the latter for a year of twenty digits
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return math.ceil(min(max(seconds, 0), _MAX_WAIT))


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
