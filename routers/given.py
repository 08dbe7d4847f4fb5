"""What requests bring beside their body, on every route that starts a stream."""

import re

from fastapi import Request
from fastapi.exceptions import RequestValidationError

_IDEMPOTENCY_KEY = re.compile(r"[ -~]{1,255}", re.ASCII)


def idempotency_key(request: Request) -> str | None:
    """The header of that name; `invalid_request` where it is none."""
    key = request.headers.get("idempotency-key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise invalid_parameter("Idempotency-Key", "A key is 1 to 255 printable ASCII characters.")
    return key


def invalid_parameter(name: str, message: str) -> RequestValidationError:
    """`invalid_request`, about a parameter of the query or a header."""
    return RequestValidationError([{"type": "value_error", "loc": ("query", name), "msg": message}])
