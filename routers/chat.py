"""Chat: send a message, read the answer as it is written, come back for the rest, stop it."""

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from domain.callers import Caller
from domain.errors import StreamForgeError
from domain.messages import is_id
from domain.streams import Order, Snapshot, digest, parse_event_id, parse_stream_id
from routers.deps import CallerDep, StreamingDep, caller_of, services_of
from routers.http.guard import guarded
from routers.http.request_headers import LastEventId, LastEventIdQuery, idempotency_key, invalid_parameter
from routers.openapi.codes import (
    ANSWERS_IN_A_SESSION,
    FINDS_A_STREAM,
    GUARDED,
    MAY_HAVE_A_BODY,
    PUBLIC,
    READS_FROM_A_CURSOR,
    STARTS_A_STREAM,
    responses,
)
from routers.openapi.parameters import (
    FORMAT,
    FORMAT_PARAMETER,
    IDEMPOTENCY_KEY_PARAMETER,
    LAST_EVENT_ID_PARAMETER,
    SESSION_ID_PARAMETER,
)
from routers.openapi.streams import stream_responses
from routers.schemas.base import ResponseModel
from routers.schemas.chat_request import ChatRequest
from routers.schemas.stream_state import StreamOut, state_json
from routers.streams.responses import StaticStreamResponse, StreamResponse
from services.streaming_service import StreamingService
from stores.streams.tail import Tail
from wires.events import gone
from wires.table import WIRES, AnyWire, Format

router = APIRouter(prefix="/chat", tags=["Chat"], route_class=guarded("chat"))
public = APIRouter(prefix="/chat", tags=["Chat"])

FormatQuery = Annotated[Format, Query(description=FORMAT)]
StreamId = Annotated[str, Path(json_schema_extra={"pattern": "^[0-9a-f]{32}$"}, description="From `X-Stream-Id`")]


class ChatHealth(ResponseModel):
    """The response of `GET /chat/health`."""

    service: Literal["chat"] = "chat"
    status: Literal["healthy"] = "healthy"
    streaming: Literal["enabled"] = "enabled"


_STATE: dict[str, Any] = {"application/json": {"schema": {"$ref": "#/components/schemas/StreamOut"}}}


@router.post(
    "",
    summary="Send a message",
    response_class=StreamingResponse,
    openapi_extra={
        "parameters": [FORMAT_PARAMETER, SESSION_ID_PARAMETER, LAST_EVENT_ID_PARAMETER, IDEMPOTENCY_KEY_PARAMETER]
    },
    responses=stream_responses(
        *GUARDED, *STARTS_A_STREAM, *ANSWERS_IN_A_SESSION, *READS_FROM_A_CURSOR, "client_id_taken",
        "document_not_found", "message_mismatch",
    ),
)  # fmt: skip
async def send_message(chat: ChatRequest, request: Request) -> Response:
    """Starts a stream, in which the message is answered, and follows it. The stream outlives this connection.

    A model that fails early, before its first word, is refused with the status of the error. After that the stream's
    last event says so.

    With `Last-Event-ID` nothing is started: the stream that it names continues after that event, for clients that can
    only repeat their request.
    """
    streams, caller = services_of(request).streaming, caller_of(request)
    order, wire = _order(chat, request), WIRES[_format(request)]
    if (last_event_id := request.headers.get("last-event-id")) is not None:
        return await _repost(streams, caller, last_event_id, order.ask.message, wire)
    opened = await streams.start(caller, order)
    return StreamResponse(streams, opened.tail, wire, replayed=opened.replayed)


@public.get("/health", summary="Check the chat", responses=responses(*PUBLIC))
async def check_chat() -> ChatHealth:
    """Whether streaming is enabled: it always is."""
    return ChatHealth()


@router.get(
    "/streams/{stream_id}",
    summary="Follow a stream",
    response_class=StreamingResponse,
    responses={
        **stream_responses(
            *GUARDED, *FINDS_A_STREAM, *READS_FROM_A_CURSOR, "invalid_request", extra=_STATE,
        ),
        204: {"description": "The stream has ended, and its last event was already read"},
    },
)  # fmt: skip
async def follow_stream(
    stream_id: StreamId,
    caller: CallerDep,
    streams: StreamingDep,
    format: FormatQuery = "events",
    after: Annotated[int, Query(ge=0, le=999_999_999, description="Events read; blocks with `format=text`")] = 0,
    last_event_id_query: LastEventIdQuery = None,
    last_event_id: LastEventId = None,
    accept: Annotated[str, Header(max_length=1_000, include_in_schema=False)] = "",
) -> Response:
    """What comes after the cursor, then live. The cursor is `Last-Event-ID`, else `last_event_id`, else `after`.

    With `Accept: application/json`, for clients that poll, the stream's state instead.
    """
    parse_stream_id(stream_id)
    if _wants_json(accept):
        return _state(await streams.state(caller, stream_id))
    tail = await streams.find(caller, stream_id)
    wire = WIRES[format]
    cursor = last_event_id if last_event_id is not None else last_event_id_query
    seq = _cursor(tail, cursor) if cursor is not None else wire.seq_after(after, tail.events)
    return _read_on(streams, tail, wire, seq) or Response(status_code=204)


@router.post(
    "/streams/{stream_id}/cancel",
    summary="Cancel a stream",
    status_code=202,
    responses=responses(*GUARDED, *FINDS_A_STREAM, *MAY_HAVE_A_BODY),
    response_model=StreamOut,
)
async def cancel_stream(stream_id: StreamId, streams: StreamingDep, caller: CallerDep) -> Response:
    """Stops the model and returns the stream's state. A stream that has ended keeps its outcome."""
    return _state(await streams.cancel(caller, parse_stream_id(stream_id)), status=202)


def _format(request: Request) -> Format:
    """`?format=`, read here because FastAPI's reading of parameters costs more than sending a word."""
    if not request.scope["query_string"]:
        return "text"
    name = request.query_params.get("format", "text")
    if name not in WIRES:
        message = f"Input should be {' or '.join(map(repr, WIRES))}"
        raise invalid_parameter("format", message)
    return name


def _order(chat: ChatRequest, request: Request) -> Order:
    """The order: body, query and headers together."""
    session_id = request.query_params.get("session_id") if request.scope["query_string"] else None
    if session_id is not None and not is_id(session_id):
        raise invalid_parameter("session_id", "A session id is 32 lower-case hexadecimal characters.")
    place = chat.place(session_id)
    key = idempotency_key(request)
    about = b""
    if key is not None:
        about = digest(f"{session_id or ''}{chat.model_dump_json(exclude_defaults=True)}")
    wanted = chat.documents.retrieval() if chat.documents else None
    return Order(chat.ask(), chat.model, chat.on_disconnect, place, key, about, wanted, plain=chat.documents is False)


async def _repost(
    streams: StreamingService, caller: Caller, last_event_id: str, message: str, wire: AnyWire
) -> Response:
    """Resume, always with a stream: on anything else these clients repeat their POST for ever."""
    stream_id, seq = parse_event_id(last_event_id)
    try:
        tail = await streams.find(caller, stream_id)
    except StreamForgeError:
        return StaticStreamResponse(gone(), stream_id)
    if tail.info.message_digest != digest(message):
        raise StreamForgeError("message_mismatch")
    return _read_on(streams, tail, wire, seq) or StaticStreamResponse(b"", stream_id)


def _read_on(streams: StreamingService, tail: Tail, wire: AnyWire, seq: int) -> StreamResponse | None:
    """What comes after event number `seq`; `None` if that was the terminal event."""
    if seq > len(tail.events):
        raise StreamForgeError("cursor_ahead")
    if tail.ended and seq == len(tail.events):
        return None
    return StreamResponse(streams, tail, wire, seq)


def _cursor(tail: Tail, text: str) -> int:
    """The number in an event id of this stream."""
    stream_id, seq = parse_event_id(text)
    if stream_id != tail.info.id:
        raise StreamForgeError("malformed_cursor")
    return seq


def _state(snapshot: Snapshot, status: int = 200) -> Response:
    return Response(state_json(snapshot), status, {"x-stream-id": snapshot.info.id}, "application/json")


def _wants_json(accept: str) -> bool:
    """Whether `application/json` is named, and not with a quality of 0."""
    for entry in accept.lower().split(","):
        media_type, _, quality = entry.partition(";")
        if media_type.strip() == "application/json":
            return re.fullmatch(r"\s*q=0(\.0*)?\s*", quality) is None
    return False
