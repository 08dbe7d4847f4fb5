"""How a refusal looks to the client that it is for: each API has its own shape of error, on all its paths.

The shape follows from the path, and nothing else does. A route, the guard, a layer around all routes and the framework
say what is wrong once, and need not know which client asked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

import orjson

from domain.callers import Share
from domain.errors import error_kind

_MAX_TEXT = 500


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is wrong. `code` is a key of `domain.errors.ERRORS`, `retry_after` in whole seconds.

    Each of `errors` has a `detail`, and the `pointer` into the body or the `parameter` that it is about. `spent` is
    whether a model has already worked on the request. `share` is what of the caller's is used up.
    """

    code: str
    status: int
    detail: str
    errors: Sequence[Mapping[str, str]] = ()
    retry_after: int | None = None
    spent: bool = False
    share: Share | None = None

    @property
    def hopeless(self) -> bool:
        """Whether the same request would be refused again however long its client waits, or would cost more tokens."""
        if self.share is not None:
            return self.retry_after is None
        return self.spent or not error_kind(self.code).retryable

    @classmethod
    def of(cls, code: str) -> Self:
        """The refusal with this code, as the table of errors words it."""
        return cls(code, error_kind(code).status, error_kind(code).message)


@dataclass(frozen=True, slots=True)
class Shaped:
    """A refusal as one kind of client expects it: `body` is JSON, or text."""

    status: int
    body: dict[str, Any] | str
    headers: Mapping[str, str]

    def bytes(self) -> bytes:
        """The body as it is sent."""
        return self.body.encode() if isinstance(self.body, str) else orjson.dumps(self.body)


@dataclass(frozen=True, slots=True, eq=False)
class ErrorShape:
    """One API's shape of error, and the JSON schema of its body."""

    media_type: str
    schema: Mapping[str, Any]
    render: Callable[[Refusal], Shaped]


def _problem_details(refusal: Refusal) -> Shaped:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
    }
    if refusal.errors:
        body["errors"] = list(refusal.errors)
    if refusal.share is not None:
        body["quota"] = refusal.share.shown()
    return Shaped(refusal.status, body, {})


def _plain_text(refusal: Refusal) -> Shaped:
    text = refusal.detail
    if refusal.errors and (first := refusal.errors[0])["detail"] != text:
        place = first.get("pointer", "").removeprefix("#").removeprefix("/") or first.get("parameter", "")
        text = f"{place}: {first['detail']}" if place else first["detail"]
    headers = {} if refusal.share is None else {"x-quota": orjson.dumps(refusal.share.shown()).decode()}
    return Shaped(refusal.status, text[:_MAX_TEXT], headers)


PROBLEM = ErrorShape("application/problem+json", {"$ref": "#/components/schemas/Problem"}, _problem_details)
"""RFC 9457, for our own API."""

PLAIN_TEXT = ErrorShape("text/plain", {"type": "string", "maxLength": 1_000}, _plain_text)
"""One sentence, for clients that show the body to people as it is; what a program may want is in a header."""
