"""A stream's state as JSON, for clients that poll."""

from typing import Any

import orjson
from pydantic import Field

from domain.errors import error_kind
from domain.events import Cancelled, Done, Failed
from domain.streams import Snapshot, StreamState
from domain.usage import account
from routers.schemas.base import Count, ResponseModel


class UsageOut(ResponseModel):
    """Tokens; `exact` if the model counted them. The last two only if it counts them."""

    input_tokens: Count
    output_tokens: Count
    exact: bool
    cached_tokens: Count | None = None
    reasoning_tokens: Count | None = None


class CostOut(ResponseModel):
    """An amount of money, and whose prices it follows."""

    amount: float = Field(ge=0, le=1e12, allow_inf_nan=False)
    currency: str = Field(min_length=3, max_length=3)
    source: str = Field(max_length=200)


class AttemptOut(ResponseModel):
    """One time a model was asked."""

    model: str = Field(max_length=200)
    usage: UsageOut
    cost: CostOut | None
    error: str | None = Field(None, max_length=100, description="The code with which it failed")


class ErrorOut(ResponseModel):
    """Why a stream failed, as in its `error` event."""

    code: str = Field(max_length=100)
    message: str = Field(max_length=1_000)
    retryable: bool
    retry_after: int | None = Field(None, ge=0, le=86_400, description="Seconds")


class StreamOut(ResponseModel):
    """A stream at this moment. What is not known yet is absent."""

    stream_id: str = Field(min_length=32, max_length=32)
    state: StreamState
    last_seq: int = Field(ge=1, le=2**53, description="The number of the newest event")
    text: str = Field(max_length=2**30, description="The answer so far")
    session_id: str | None = Field(None, max_length=32, description="The session that it answers in")
    message_id: str | None = Field(None, max_length=32, description="The message that the answer becomes")
    resumable_elsewhere: bool | None = Field(
        None, description="With several servers: `false` if only the server that answers can continue it"
    )
    usage: UsageOut | None = None
    cost: CostOut | None = Field(None, description="Once it has ended; `null` if the price is not known")
    attempts: list[AttemptOut] | None = Field(None, max_length=1_000, description="If there were several")
    model: str | None = Field(None, max_length=200, description="The model that answered, once it has")
    error: ErrorOut | None = None
    reason: str | None = Field(None, max_length=50, description="Why it was cancelled")


def state_json(snapshot: Snapshot) -> bytes:
    """A `StreamOut`, written without the model, in which megabytes of text would hold up the event loop."""
    state: dict[str, Any] = {
        "stream_id": snapshot.info.id,
        "state": snapshot.state,
        "last_seq": snapshot.seq,
        "text": snapshot.text,
    }
    if snapshot.info.session_id is not None:
        state |= {"session_id": snapshot.info.session_id, "message_id": snapshot.info.message_id}
    if snapshot.resumable_elsewhere is not None:
        state["resumable_elsewhere"] = snapshot.resumable_elsewhere
    end = snapshot.terminal
    if end is not None:
        state |= account(end.spent)
    if isinstance(end, Failed):
        kind = error_kind(end.code)
        state["error"] = {"code": end.code, "message": kind.message, "retryable": kind.retryable}
        if end.retry_after is not None:
            state["error"]["retry_after"] = end.retry_after
    elif isinstance(end, Done):
        state["model"] = end.model
    elif isinstance(end, Cancelled):
        state["reason"] = end.reason
    return orjson.dumps(state)
