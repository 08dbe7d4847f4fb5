"""Every refusal as a response in the shape of its dialect, and the JSON of our own: RFC 9457 problem details."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from pydantic import ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from domain.callers import Share
from domain.errors import StreamForgeError, error_kind
from routers.http.dialects import Dialect, error_shape
from routers.http.error_shapes import Refusal
from routers.schemas.base import ResponseModel
from routers.schemas.quota import QuotaOut

_CODES = {404: "not_found", 405: "method_not_allowed", 400: "malformed_request"}


class FieldProblem(ResponseModel):
    """One thing that is wrong with the request. What was sent is not repeated."""

    pointer: str | None = Field(
        None, max_length=1_000, description="JSON pointer into the body", examples=["#/message"]
    )
    parameter: str | None = Field(None, max_length=1_000, description="Name of a query parameter or header")
    detail: str = Field(max_length=1_000)


class Problem(ResponseModel):
    """RFC 9457 problem details."""

    model_config = ConfigDict(title="Problem")

    type: str = Field("about:blank", max_length=1_000)
    title: str = Field(max_length=200)
    status: int = Field(ge=400, le=599)
    detail: str = Field(max_length=1_000)
    code: str = Field(max_length=100, description="Stable: made for programs")
    errors: list[FieldProblem] | None = Field(None, max_length=1_000)
    quota: QuotaOut | None = Field(None, description="Only with `quota_exceeded`")


class ProblemResponse(Response):
    """A refusal, in the shape that clients of the path expect."""

    def __init__(self, refusal: Refusal, headers: Mapping[str, str]) -> None:
        super().__init__()
        self._refusal = refusal
        self._extra = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        shape = error_shape(path_of(scope), scope["app"].state.dialects if "app" in scope else ())
        shaped = shape.render(self._refusal)
        headers = {**self._extra, **shaped.headers}
        if (wait := self._refusal.retry_after) is not None:
            headers["retry-after"] = str(wait)
        elif self._refusal.share is not None:
            headers["x-should-retry"] = "false"
        await Response(shaped.bytes(), shaped.status, headers, shape.media_type)(scope, receive, send)


def path_of(scope: Scope) -> str:
    """The path below the prefix that the server is mounted at."""
    return str(scope["path"].removeprefix(scope.get("root_path", "")))


def problem(
    code: str,
    *,
    detail: str | None = None,
    status: int | None = None,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    retry_after: int | None = None,
    spent: bool = False,
    share: Share | None = None,
) -> ProblemResponse:
    """The refusal with a code of `domain.errors.ERRORS`, which has the defaults for status and detail."""
    kind = error_kind(code)
    return ProblemResponse(
        Refusal(code, status or kind.status, detail or kind.message, errors, retry_after, spent, share), headers or {}
    )


def add_error_handlers(app: FastAPI, dialects: Sequence[Dialect]) -> None:
    """Turn every exception that reaches the routing into a refusal, in the shape of the dialect of its path."""
    app.state.dialects = dialects
    app.add_exception_handler(StreamForgeError, _on_streamforge_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)


async def _on_streamforge_error(_: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, StreamForgeError)
    errors = [{"pointer": error.pointer, "detail": error.detail}] if error.pointer else []
    headers = {"x-stream-id": error.stream_id} if error.stream_id else {}
    if error.code == "unauthenticated":
        headers["www-authenticate"] = "Bearer"
    return problem(
        error.code,
        detail=error.detail,
        errors=errors,
        headers=headers,
        retry_after=error.retry_after,
        spent=error.spent,
        share=error.share,
    )


async def _on_http_exception(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return problem("method_not_allowed", headers={"allow": _allowed(request)})
    code = _CODES.get(error.status_code, "internal_error" if error.status_code >= 500 else "malformed_request")
    return problem(code, status=error.status_code, headers=error.headers)


def _allowed(request: Request) -> str:
    """The methods that the path takes: each of its routes knows only its own."""
    route: Any = request.scope.get("route")
    if getattr(route, "owns_path", False):
        return ", ".join(sorted(route.methods))
    path = path_of(request.scope)
    methods: set[str] = set()
    for context in iter_route_contexts(request.app.routes):
        regex = getattr(context, "path_regex", None)
        if regex is not None and regex.match(path):
            methods |= context.methods or set()
    return ", ".join(sorted(methods or {"GET", "HEAD"}))  # a path that no route has is a file's


async def _on_validation_error(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(item["loc"] == ("body",) for item in found) and not is_json(request.headers.get("content-type", "")):
        return problem("unsupported_media_type")
    if any(item["type"] == "json_invalid" for item in found):
        return problem("malformed_request")
    return problem("invalid_request", errors=[_field_problem(item, error.body) for item in found[:100]])


def is_json(content_type: str) -> bool:
    """Whether FastAPI would parse such a body. It parses no other: pages of any origin can send those unasked."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))


def _field_problem(item: Mapping[str, Any], body: Any) -> dict[str, str]:
    place, *path = item["loc"]
    detail = str(item["msg"]).removeprefix("Value error, ")
    if place == "body":
        path = path if body is None else _sent(path, body, missing=item["type"] == "missing")
        pointer = "".join(f"/{escaped(str(part))}" for part in path)
        return {"pointer": f"#{pointer}", "detail": detail}
    return {"parameter": str(path[0]) if path else str(place), "detail": detail}


def _sent(path: Sequence[str | int], body: Any, *, missing: bool) -> list[str | int]:
    """The path as it is in the body: Pydantic's also names alternatives that it tried, such as a class."""
    sent: list[str | int] = []
    for number, part in enumerate(path, 1):
        in_list = isinstance(body, list) and isinstance(part, int) and 0 <= part < len(body)
        if in_list or (isinstance(body, dict) and part in body):
            body = body[part]
        elif not (missing and number == len(path)):
            continue
        sent.append(part)
    return sent


def escaped(part: str) -> str:
    """A reference token of RFC 6901, cut short, since a field's name may be anything that the client sent."""
    return part[:100].replace("~", "~0").replace("/", "~1")
