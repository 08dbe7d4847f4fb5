"""Headers that several routes and layers read."""

import re
from typing import Annotated

from fastapi import Header, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import WithJsonSchema
from starlette.types import Scope

LAST_EVENT_ID = "The id of the last event that was read, as in the `id:` lines"
# Documented, but not enforced: a cursor that is too long is as malformed as any other, and refused as such.
_EventId = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 50})]
LastEventId = Annotated[_EventId | None, Header(alias="Last-Event-ID", description=LAST_EVENT_ID)]
LastEventIdQuery = Annotated[_EventId | None, Query(alias="last_event_id", description="As the header")]
_IDEMPOTENCY_KEY = re.compile(r"[ -~]{1,255}", re.ASCII)


def header_of(scope: Scope, wanted: bytes) -> bytes:
    """The first value of a header; empty if there is none."""
    for name, value in scope["headers"]:
        if name == wanted:
            return bytes(value)
    return b""


def idempotency_key(request: Request) -> str | None:
    """The header of that name; `invalid_request` if it cannot be a key."""
    key = request.headers.get("idempotency-key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise invalid_parameter("Idempotency-Key", "A key is 1 to 255 printable ASCII characters.")
    return key


def wants_to_detach(request: Request) -> bool:
    """Whether the stream should outlive its client, on a route where hanging up otherwise stops it."""
    value = request.headers.get("x-stream-detach", "false").lower()
    if value not in ("true", "false"):
        raise invalid_parameter("X-Stream-Detach", "This is `true` or `false`.")
    return value == "true"


def invalid_parameter(name: str, message: str) -> RequestValidationError:
    """`invalid_request`, about a parameter of the query or a header."""
    return RequestValidationError([{"type": "value_error", "loc": ("query", name), "msg": message}])
