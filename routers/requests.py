"""What routes read of a request by themselves, where FastAPI's reading would cost more than a word's journey."""

import re
from collections.abc import Mapping

from fastapi.exceptions import RequestValidationError

_IDEMPOTENCY_KEY = re.compile(r"[ -~]{1,255}", re.ASCII)


def invalid_parameter(name: str, message: str) -> RequestValidationError:
    """The refusal of a query parameter or header."""
    return RequestValidationError([{"type": "value_error", "loc": ("query", name), "msg": message}])


def idempotency_key(headers: Mapping[str, str]) -> str | None:
    """The `Idempotency-Key` that the request brings, if it does; refused where it is none."""
    key = headers.get("idempotency-key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise invalid_parameter("Idempotency-Key", "A key is 1 to 255 printable ASCII characters.")
    return key
