"""Errors as OpenAI's API has them."""

import re

from pydantic import ConfigDict, Field

from routers.http.error_shapes import ErrorShape, Refusal, Shaped
from routers.schemas.base import ResponseModel
from routers.schemas.quota import QuotaOut
from wires.openai import failure

_INDEX = re.compile(r"/([0-9]+)(?=/|\Z)")


class ErrorDetails(ResponseModel):
    """What is wrong. `param` is the field to blame, if one is."""

    message: str = Field(max_length=2_000)
    type: str = Field(max_length=100)
    param: str | None = Field(max_length=1_000, examples=["messages[0].content"])
    code: str = Field(max_length=100, description="Stable: made for programs")
    quota: QuotaOut | None = Field(None, description="Only with `quota_exceeded`")


class OpenAIError(ResponseModel):
    """An error in the shape of OpenAI's API."""

    model_config = ConfigDict(title="OpenAIError")

    error: ErrorDetails


def _openai_error(refusal: Refusal) -> Shaped:
    """What is invalid is 400.

    OpenAI's SDKs ask again after 408, 409, 429 and any 5xx. A header stops them if that cannot help, or would cost
    the same tokens once more.
    """
    status = 400 if refusal.status == 422 else refusal.status
    param, message = None, refusal.detail
    if refusal.errors:
        first = refusal.errors[0]
        param = first.get("parameter") or _param(first.get("pointer", "")) or None
        message = first["detail"] if refusal.detail == first["detail"] else f"{param or 'body'}: {first['detail']}"
    headers: dict[str, str] = {}
    if refusal.retry_after is not None:
        headers["retry-after-ms"] = str(refusal.retry_after * 1000)
    if refusal.hopeless:
        headers["x-should-retry"] = "false"
    error: dict[str, object] = {**failure(refusal.code, message, status=status, param=param)}
    if refusal.share is not None:
        error["quota"] = refusal.share.shown()
    return Shaped(status, {"error": error}, headers)


def _param(pointer: str) -> str:
    """`#/messages/0/content` as `messages[0].content`."""
    path = _INDEX.sub(r"[\1]", pointer.removeprefix("#"))
    return path.removeprefix("/").replace("/", ".").replace("~1", "/").replace("~0", "~")


OPENAI_ERROR = ErrorShape("application/json", {"$ref": "#/components/schemas/OpenAIError"}, _openai_error)
