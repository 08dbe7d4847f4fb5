"""The errors that /openapi.json documents: sets of codes, named by what a route does, and the responses they make."""

from dataclasses import replace
from functools import cache
from http import HTTPStatus
from typing import Any

from domain.callers import Share
from domain.errors import ERRORS
from routers.http.error_shapes import PROBLEM, ErrorShape, Refusal

PUBLIC = ("foreign_host", "forwarded_request", "foreign_origin", "head_too_large")
"""What every route may refuse with."""

GUARDED = (
    *PUBLIC, "unauthenticated", "insufficient_scope", "rate_limited", "storage_unavailable", "auth_unavailable",
)  # fmt: skip
"""What a route for known callers may refuse with before it does anything."""

MAY_HAVE_A_BODY = ("request_timeout", "body_too_large", "too_many_bodies")
"""For every method but GET, even if no route wants a body."""

READS_A_BODY = (*MAY_HAVE_A_BODY, "malformed_request", "unsupported_media_type", "invalid_request")

USES_THE_DATABASE = ("storage_full",)
"""Reading may need room as well: the database is created or migrated on first use."""

LISTS_PAGES = ("malformed_page", "invalid_request", *USES_THE_DATABASE)

ASKS_A_MODEL = tuple(code for code in ERRORS if code.startswith("provider_"))

STARTS_A_STREAM = (
    *READS_A_BODY, "unsupported_parameter", "message_too_long", "context_overflow", "model_not_found",
    "idempotency_mismatch", "idempotency_gone", "quota_exceeded", "too_many_streams", "too_many_readers",
    "server_draining", "internal_error", "log_limit", "log_unavailable", "stream_timeout", "producer_lost",
    "index_mismatch", "documents_not_installed", *ASKS_A_MODEL,
)  # fmt: skip

ANSWERS_IN_A_SESSION = ("session_not_found", "message_not_found", "session_busy", *USES_THE_DATABASE)

READS_FROM_A_CURSOR = ("malformed_cursor", "cursor_ahead", "too_many_readers")

FINDS_A_STREAM = ("malformed_stream_id", "stream_not_found", "log_unavailable")

FINDS_A_SESSION = ("session_not_found", *USES_THE_DATABASE)

FINDS_A_DOCUMENT = ("document_not_found", *USES_THE_DATABASE)

TAKES_DOCUMENTS = (
    *READS_A_BODY, "too_many_documents", "quota_exceeded", "documents_not_installed", "documents_unconfined",
    "provider_not_configured", *USES_THE_DATABASE,
)  # fmt: skip


_SHARE = Share("documents", 5_000, 5_000)
"""What is used up in the example of `quota_exceeded`."""


def responses(*codes: str, shape: ErrorShape = PROBLEM) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a route that may refuse with these codes, by status, each with an example."""
    by_status: dict[int | str, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(_example(code, shape)[0], []).append(code)
    return {status: _response(int(status), tuple(grouped), shape) for status, grouped in by_status.items()}


@cache  # shared between routes: many have the same
def _response(status: int, codes: tuple[str, ...], shape: ErrorShape) -> dict[str, Any]:
    examples = {code: _example(code, shape)[1] for code in codes}
    return {
        "description": f"{HTTPStatus(status).phrase}: " + ", ".join(f"`{code}`" for code in codes),
        "content": {shape.media_type: {"schema": shape.schema, "examples": examples}},
    }


@cache
def _example(code: str, shape: ErrorShape) -> tuple[int, dict[str, Any]]:
    """The status with which the code is refused, and the body."""
    refusal = Refusal.of(code)
    shaped = shape.render(replace(refusal, share=_SHARE) if code == "quota_exceeded" else refusal)
    return shaped.status, {"value": shaped.body}
