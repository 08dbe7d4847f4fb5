"""How a refusal looks to the client that it is for: each API has its own shape of error, on all its paths.

The shape follows from the path, and nothing but the shape does: whoever refuses, a route, the guard, a layer before
all routes or the framework, says what is wrong once, and need not know who asked.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from domain.errors import ERRORS
from wires.openai import failure

Headers = dict[str, str]
_MAX_TEXT = 500

_INDEX = re.compile(r"/([0-9]+)(?=/|\Z)")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is wrong. `code` is a key of `domain.errors.ERRORS`, `retry_after` in whole seconds.

    Each of `errors` has a `detail`, and the `pointer` into the body or the `parameter` that it is about. `spent` says
    that a model has been at work for it already.
    """

    code: str
    status: int
    detail: str
    errors: Sequence[Mapping[str, str]] = ()
    retry_after: int | None = None
    spent: bool = False


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


def openai_error(refusal: Refusal) -> Shaped:
    """OpenAI's, where what is invalid is 400.

    Its SDKs ask again after 408, 409, 429 and any 5xx: they are told not to where that cannot help, or would pay for
    the same tokens once more.
    """
    status = 400 if refusal.status == 422 else refusal.status
    param, message = None, refusal.detail
    if refusal.errors:
        first = refusal.errors[0]
        param = first.get("parameter") or _param(first.get("pointer", "")) or None
        message = first["detail"] if refusal.detail == first["detail"] else f"{param or 'body'}: {first['detail']}"
    body = {"error": failure(refusal.code, message, status=status, param=param)}
    headers: Headers = {}
    if refusal.retry_after is not None:
        headers["retry-after-ms"] = str(refusal.retry_after * 1000)
    if refusal.spent or not ERRORS[refusal.code].retryable:
        headers["x-should-retry"] = "false"
    return Shaped(status, "application/json", orjson.dumps(body), headers)


def _param(pointer: str) -> str:
    """`#/messages/0/content` as `messages[0].content`."""
    path = _INDEX.sub(r"[\1]", pointer.removeprefix("#"))
    return path.removeprefix("/").replace("/", ".").replace("~1", "/").replace("~0", "~")


def plain_text(refusal: Refusal) -> Shaped:
    """One sentence, for clients that show the body to people as it is."""
    told = refusal.detail
    if refusal.errors and (first := refusal.errors[0])["detail"] != told:
        place = first.get("pointer", "").removeprefix("#").removeprefix("/") or first.get("parameter", "")
        told = f"{place}: {first['detail']}" if place else first["detail"]
    return Shaped(refusal.status, "text/plain; charset=utf-8", told[:_MAX_TEXT].encode(), {})


SHAPES: tuple[tuple[str, Shape], ...] = (
    ("/v1", openai_error),
    ("/api/chat", plain_text),
    ("/ag-ui", plain_text),
)
"""Paths that begin so are answered so; all others with problem details."""


def shape_of(path: str) -> Shape:
    """How clients of this path want to be refused."""
    for prefix, shape in SHAPES:
        if path == prefix or path.startswith(f"{prefix}/"):
            return shape
    return problem_details
