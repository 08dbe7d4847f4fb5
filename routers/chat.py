"""Chat: post a message, read the answer as it comes, come back for the rest, stop it."""

from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator

from domain.errors import ERRORS, StreamForgeError
from domain.events import Cancelled, Failed
from domain.streams import OnDisconnect, Snapshot, StreamState, digest, parse_event_id, parse_stream_id
from domain.usage import Usage
from routers.deps import StreamingDep, services_of
from routers.descriptions import stream_responses
from routers.errors import problems
from routers.streaming import StaticStreamResponse, StreamResponse
from services.streaming_service import StreamingService
from stores.streams.base import Tail
from wires import WIRES, Format
from wires.events import gone

router = APIRouter(prefix="/chat", tags=["chat"])

FormatQuery = Annotated[Format, Query(description="`text`: plain `data:` blocks; `events`: everything, with ids")]
LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=100,
        description="The id of the last event that was read, as in the `id:` lines",
    ),
]

StreamId = Annotated[str, Path(json_schema_extra={"pattern": "^[0-9a-f]{32}$"}, description="From `X-Stream-Id`")]


class ChatRequest(BaseModel):
    """A message to answer."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"message": "Tell me about streaming"}]})

    message: str = Field(min_length=1, max_length=10_000_000, description="Not blank; `MAX_MESSAGE_CHARS` at most")
    on_disconnect: OnDisconnect = Field(
        "detach",
        description="When the last reader leaves: `detach` lets the answer go on, to be resumed; `cancel` stops it",
    )

    @field_validator("message")
    @classmethod
    def _not_blank(cls, message: str) -> str:
        if not message.strip():
            raise ValueError("The message is blank. Write something.")
        return message


class UsageOut(BaseModel):
    """Tokens; `exact` when the model counted them."""

    input_tokens: int = Field(ge=0, le=2**53)
    output_tokens: int = Field(ge=0, le=2**53)
    exact: bool

    @classmethod
    def of(cls, usage: Usage) -> Self:
        return cls(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, exact=usage.exact)


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

    @classmethod
    def of(cls, snapshot: Snapshot) -> Self:
        end = snapshot.terminal
        error = reason = None
        if isinstance(end, Failed):
            kind = ERRORS[end.code]
            error = ErrorOut(code=end.code, message=kind.message, retryable=kind.retryable)
        elif isinstance(end, Cancelled):
            reason = end.reason
        return cls(
            stream_id=snapshot.id,
            state=snapshot.state,
            last_seq=snapshot.seq,
            text=snapshot.text,
            usage=UsageOut.of(end.usage) if end else None,
            error=error,
            reason=reason,
        )


class ChatHealth(BaseModel):
    """The answer of `GET /chat/health`."""

    service: Literal["chat"] = "chat"
    status: Literal["healthy"] = "healthy"
    streaming: Literal["enabled"] = "enabled"


_STATE: dict[str, Any] = {"application/json": {"schema": {"$ref": "#/components/schemas/StreamOut"}}}


@router.post(
    "",
    summary="Answer a message",
    response_class=StreamingResponse,
    responses=stream_responses(
        "malformed_request", "malformed_cursor", "foreign_host", "request_timeout", "cursor_ahead", "body_too_large",
        "unsupported_media_type", "invalid_request", "message_too_long", "message_mismatch", "provider_model",
        "too_many_streams", "too_many_readers", "server_draining", "provider_not_configured",
    ),
)  # fmt: skip
async def start_stream(
    chat: ChatRequest,
    request: Request,
    format: FormatQuery = "text",
    last_event_id: LastEventId = None,
) -> Response:
    """Starts a stream and follows it. The stream outlives this connection.

    With `Last-Event-ID` nothing is started: the stream that it names goes on after that event, for clients
    that can only repeat their request.
    """
    streams = services_of(request).streaming
    if last_event_id is not None:
        return await _repost(streams, last_event_id, chat.message, format)
    tail = await streams.start(chat.message, chat.on_disconnect)
    return StreamResponse(streams, tail, WIRES[format])


@router.get("/health", summary="Is chat working?", responses=problems("foreign_host"))
async def chat_health() -> ChatHealth:
    """Whether streaming is enabled."""
    return ChatHealth()


@router.get(
    "/streams/{stream_id}",
    summary="Go on reading a stream",
    response_class=StreamingResponse,
    responses={
        **stream_responses(
            "malformed_stream_id", "malformed_cursor", "foreign_host", "stream_not_found", "cursor_ahead",
            "invalid_request", "too_many_readers", extra=_STATE,
        ),
        204: {"description": "The stream has ended, and its last event was already read"},
    },
)  # fmt: skip
async def follow_stream(
    stream_id: StreamId,
    streams: StreamingDep,
    format: FormatQuery = "events",
    after: Annotated[int, Query(ge=0, le=999_999_999, description="Events read; blocks with `format=text`")] = 0,
    last_event_id_query: Annotated[
        str | None, Query(alias="last_event_id", max_length=100, description="As the header")
    ] = None,
    last_event_id: LastEventId = None,
    accept: Annotated[str, Header(max_length=1_000, include_in_schema=False)] = "",
) -> Response:
    """What comes after the cursor, then live. The cursor is `Last-Event-ID`, else `last_event_id`, else `after`.

    With `Accept: application/json` the stream's state instead, for clients that poll.
    """
    tail = await streams.find(parse_stream_id(stream_id))
    if "application/json" in accept.lower():
        return _state(await streams.state(stream_id))
    wire = WIRES[format]
    cursor = last_event_id if last_event_id is not None else last_event_id_query
    seq = _cursor(tail, cursor) if cursor is not None else wire.seq_after(after, tail.events)
    if seq > len(tail.events):
        raise StreamForgeError("cursor_ahead")
    if tail.ended and seq == len(tail.events):
        return Response(status_code=204)
    return StreamResponse(streams, tail, wire, seq)


@router.post(
    "/streams/{stream_id}/cancel",
    summary="Stop a stream",
    status_code=202,
    responses=problems("malformed_stream_id", "foreign_host", "stream_not_found", "request_timeout", "body_too_large"),
    response_model=StreamOut,
)
async def cancel_stream(stream_id: StreamId, streams: StreamingDep) -> Response:
    """Stops the model and answers the stream's state. A stream that has ended keeps its outcome."""
    return _state(await streams.cancel(parse_stream_id(stream_id)), status=202)


async def _repost(streams: StreamingService, last_event_id: str, message: str, format: Format) -> Response:
    """Resume for clients that repeat their POST for ever on anything but a stream."""
    stream_id, seq = parse_event_id(last_event_id)
    try:
        tail = await streams.find(stream_id)
    except StreamForgeError:
        return StaticStreamResponse(gone(), stream_id)
    if tail.info.message_digest != digest(message):
        raise StreamForgeError("message_mismatch")
    if seq > len(tail.events):
        raise StreamForgeError("cursor_ahead")
    if tail.ended and seq == len(tail.events):
        return StaticStreamResponse(b"", stream_id)
    return StreamResponse(streams, tail, WIRES[format], seq)


def _cursor(tail: Tail, text: str) -> int:
    """The number in an event id of this stream."""
    stream_id, seq = parse_event_id(text)
    if stream_id != tail.info.id:
        raise StreamForgeError("malformed_cursor")
    return seq


def _state(snapshot: Snapshot, status: int = 200) -> JSONResponse:
    body = StreamOut.of(snapshot).model_dump(exclude_none=True)
    return JSONResponse(body, status, headers={"cache-control": "no-store", "x-stream-id": snapshot.id})
