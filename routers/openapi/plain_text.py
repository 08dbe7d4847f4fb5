"""What /openapi.json says of routes whose refusals are plain text: those of clients with a protocol of their own."""

from http import HTTPStatus
from typing import Any

from domain.errors import ERRORS
from routers.http.errors import PROVIDER_ERRORS
from routers.http.guard import REFUSALS

STARTING = (
    *REFUSALS, "malformed_request", "request_timeout", "body_too_large", "unsupported_media_type", "invalid_request",
    "unsupported_parameter", "message_too_long", "context_overflow", "model_not_found", "too_many_streams",
    "too_many_readers", "server_draining", "internal_error", "log_limit", "stream_timeout", "session_busy",
    "session_not_found", "message_not_found", "idempotency_mismatch", "log_unavailable", "storage_full",
    *PROVIDER_ERRORS,
)  # fmt: skip
"""Why a stream may not start in a chat."""

_TEXT = {"type": "string", "maxLength": 1_000}
_ITEM = {"type": "object", "required": ["data"], "properties": {"data": {"type": "string"}}}
_HEADERS = {
    "X-Stream-Id": {"description": "The stream's id, as on the native routes", "schema": {"type": "string"}},
    "X-Session-Id": {"description": "The session that the chat is", "schema": {"type": "string"}},
}


def text_refusals(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` for these codes."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(ERRORS[code].status, []).append(code)
    return {
        status: {
            "description": f"{HTTPStatus(status).phrase}: " + ", ".join(f"`{code}`" for code in names),
            "content": {"text/plain": {"schema": _TEXT}},
        }
        for status, names in by_status.items()
    }


def text_stream(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that streams JSON in unnamed blocks, or refuses with one of the codes."""
    content = {"text/event-stream": {"itemSchema": _ITEM}}
    stream = {"description": "The answer, part by part", "content": content, "headers": _HEADERS}
    return {200: stream, **text_refusals(*codes)}
