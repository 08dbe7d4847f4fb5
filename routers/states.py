"""A stream's state as JSON, for clients that poll."""

from typing import Any

import orjson
from pydantic import BaseModel, Field

from domain.errors import ERRORS
from domain.events import Cancelled, Failed
from domain.streams import Snapshot, StreamState
from wires.frames import usage


class UsageOut(BaseModel):
    """Tokens; `exact` when the model counted them."""

    input_tokens: int = Field(ge=0, le=2**53)
    output_tokens: int = Field(ge=0, le=2**53)
    exact: bool


class ErrorOut(BaseModel):
    """Why a stream failed, as in its `error` event."""

    code: str = Field(max_length=100)
    message: str = Field(max_length=1_000)
    retryable: bool


class StreamOut(BaseModel):
    """A stream at this moment. What is not known yet is absent."""

    stream_id: str = Field(min_length=32, max_length=32)
    state: StreamState
    last_seq: int = Field(ge=1, le=2**53, description="The number of the newest event")
    text: str = Field(max_length=2**30, description="The answer so far")
    usage: UsageOut | None = None
    error: ErrorOut | None = None
    reason: str | None = Field(None, max_length=50, description="Why it was cancelled")


def state_json(snapshot: Snapshot) -> bytes:
    """A `StreamOut`, written without going through the model: megabytes of text would hold up the loop there."""
    state: dict[str, Any] = {
        "stream_id": snapshot.id,
        "state": snapshot.state,
        "last_seq": snapshot.seq,
        "text": snapshot.text,
    }
    end = snapshot.terminal
    if end is not None:
        state["usage"] = usage(end.usage)
    if isinstance(end, Failed):
        kind = ERRORS[end.code]
        state["error"] = {"code": end.code, "message": kind.message, "retryable": kind.retryable}
    elif isinstance(end, Cancelled):
        state["reason"] = end.reason
    return orjson.dumps(state)
