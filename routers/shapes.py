"""How a refusal looks to the client that it is for: each API has its own shape of error, on all its paths.

The shape follows from the path, and nothing but the shape does: whoever refuses, a route, the guard, a layer before
all routes or the framework, says what is wrong once, and need not know who asked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is wrong. `code` is a key of `domain.errors.ERRORS`, `retry_after` in whole seconds.

    Each of `errors` has a `detail`, and the `pointer` into the body or the `parameter` that it is about.
    """

    code: str
    status: int
    detail: str
    errors: Sequence[Mapping[str, str]] = ()
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Shaped:
    """A refusal as one kind of client expects it."""

    status: int
    media_type: str
    body: bytes
    headers: Headers


Shape = Callable[[Refusal], Shaped]


def body_of(code: str, status: int, detail: str) -> dict[str, Any]:
    """The members that every problem of ours has."""
    return {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, "code": code}


def problem_details(refusal: Refusal) -> Shaped:
    """RFC 9457, for our own API."""
    body = body_of(refusal.code, refusal.status, refusal.detail)
    if refusal.errors:
        body["errors"] = list(refusal.errors)
    return Shaped(refusal.status, "application/problem+json", orjson.dumps(body), {})


SHAPES: tuple[tuple[str, Shape], ...] = ()
"""Paths that begin so are answered so; all others with problem details."""


def shape_of(path: str) -> Shape:
    """How clients of this path want to be refused."""
    for prefix, shape in SHAPES:
        if path == prefix or path.startswith(f"{prefix}/"):
            return shape
    return problem_details
