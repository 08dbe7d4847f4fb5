"""Chat: post a message, read the answer as it comes, come back for the rest, stop it."""

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator

from domain.callers import Caller
from domain.documents import MAX_COLLECTIONS, Retrieval
from domain.errors import StreamForgeError
from domain.events import UNWRITABLE, writable
from domain.messages import MAX_CLIENT_ID, is_id
from domain.models import Parameters
from domain.streams import (
    Ask,
    OnBusy,
    OnDisconnect,
    Order,
    Place,
    Snapshot,
    digest,
    parse_event_id,
    parse_stream_id,
)
from routers.bodies import Bounded, ResponseModel
from routers.deps import CallerDep, StreamingDep, services_of
from routers.descriptions import (
    FORMAT,
    FORMAT_PARAMETER,
    IDEMPOTENCY_KEY_PARAMETER,
    LAST_EVENT_ID,
    LAST_EVENT_ID_PARAMETER,
    SESSION_ID_PARAMETER,
    stream_responses,
)
from routers.errors import PROVIDER_ERRORS, problems
from routers.given import idempotency_key, invalid_parameter
from routers.guard import REFUSALS, caller_of, guarded, refusals
from routers.messages import Id
from routers.states import StreamOut, state_json
from routers.streaming import StaticStreamResponse, StreamResponse
from services.streaming_service import StreamingService
from stores.streams.base import Tail
from wires import WIRES, Format, Wire
from wires.events import gone

_NO_PARAMETERS = {"message", "model", "on_disconnect", "session_id", "new_session", "client_id", "on_busy", "documents"}

router = APIRouter(prefix="/chat", tags=["chat"], route_class=guarded("chat"))
public = APIRouter(prefix="/chat", tags=["chat"])

FormatQuery = Annotated[Format, Query(description=FORMAT)]
# Told, but not enforced: a cursor that is too long is as malformed as any other, and answered as such.
Cursor = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 50})]
LastEventId = Annotated[
    Cursor | None,
    Header(
        alias="Last-Event-ID",
        description=LAST_EVENT_ID,
    ),
]

StreamId = Annotated[str, Path(json_schema_extra={"pattern": "^[0-9a-f]{32}$"}, description="From `X-Stream-Id`")]


StopText = Annotated[str, Field(min_length=1, max_length=100)]


class RetrievalIn(BaseModel):
    """Where the answer is looked for."""

    model_config = ConfigDict(extra="forbid")

    collections: list[Annotated[str, Field(min_length=1, max_length=100)]] | None = Field(
        None, max_length=MAX_COLLECTIONS, description="In these collections of yours; by default in all documents"
    )
    ids: list[Id] | None = Field(None, max_length=100, description="In these documents")
    top_k: int | None = Field(None, ge=1, le=50, description="The most passages; by default as the server is set")
    min_score: float | None = Field(
        None, ge=-1, le=1, allow_inf_nan=False, description="The least cosine of a passage; by default as the server is"
    )

    def retrieval(self) -> Retrieval:
        """The same, as ours."""
        collections = tuple(self.collections) if self.collections is not None else None
        ids = tuple(self.ids) if self.ids is not None else None
        return Retrieval(collections, ids, self.top_k, self.min_score)


class ChatRequest(Bounded):
    """A message to answer."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"message": "Tell me about streaming"}]})

    message: str | None = Field(
        None,
        min_length=1,
        max_length=10_000_000,
        description="Not blank; `MAX_MESSAGE_CHARS` at most. Needed, except with `regenerate`",
    )
    model: str | None = Field(None, min_length=1, max_length=200, description="An id of `GET /models`")
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False, description="How freely it answers")
    max_tokens: int | None = Field(None, ge=1, le=100_000_000, description="The most tokens that the answer may have")
    top_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False, description="Nucleus sampling")
    stop: list[StopText] | None = Field(None, min_length=1, max_length=4, description="The answer ends before these")
    seed: int | None = Field(None, ge=0, le=2**31 - 1, description="The same seed gives, mostly, the same answer")
    system: str | None = Field(
        None, min_length=1, max_length=10_000_000, description="What the model is told before; as long as a message"
    )
    documents: RetrievalIn | Literal[False] | None = Field(
        None, description="Answer from your documents, with sources: `{}` for all of them; `false` for none"
    )
    session_id: Id | None = Field(None, description="The session to answer in, with what was said there before")
    new_session: bool = Field(False, description="Open a session; its id is in `start` and in `X-Session-Id`")
    edit: Id | None = Field(None, description="Your message in the session that this one replaces, on a new branch")
    regenerate: Id | None = Field(
        None, description="An answer in the session that is to be given anew, or the message that it answers"
    )
    client_id: str | None = Field(
        None, min_length=1, max_length=MAX_CLIENT_ID, description="Your own id for this message, in the session"
    )
    on_busy: OnBusy = Field(
        "reject", description="Where an answer is running in the session: `reject` is 409, `cancel_previous` stops it"
    )
    on_disconnect: OnDisconnect = Field(
        "detach",
        description="When the last reader leaves: `detach` lets the answer go on, to be resumed; `cancel` stops it",
    )

    @field_validator("message", "client_id")
    @classmethod
    def _not_blank(cls, text: str | None) -> str | None:
        if text is not None and not text.strip():
            raise ValueError("This is blank. Write something.")
        return text

    @field_validator("client_id")
    @classmethod
    def _writable(cls, text: str | None) -> str | None:
        if text is not None and UNWRITABLE.search(text):
            raise ValueError("This may not hold NUL or half of a surrogate pair.")
        return text

    def ask(self) -> Ask:
        """What the model is asked."""
        message = writable(self.message or "")
        if self.model_fields_set <= _NO_PARAMETERS:  # nearly every request
            return Ask(message)
        stop = tuple(self.stop) if self.stop is not None else None
        return Ask(message, Parameters(self.temperature, self.max_tokens, self.top_p, stop, self.seed, self.system))

    def place(self, session_id: str | None) -> Place | None:
        """Where the answer belongs; `session_id` is that of the query. Refused where the fields do not fit together."""
        named = self.session_id or session_id
        anew = self.regenerate is not None
        for wrong, field, detail in (
            (self.message is None and not anew, "message", "Field required, except with `regenerate`."),
            (self.message is not None and anew, "regenerate", "What is answered anew is there. Send no `message`."),
            (self.edit is not None and anew, "edit", "This is for a new message, `regenerate` for an old one."),
            (self.client_id is not None and anew, "client_id", "There is no new message that this could name."),
            (session_id not in (None, named), "session_id", "The query names another session than the body."),
            (self.new_session and named is not None, "new_session", "This opens a session; `session_id` names one."),
            (self.edit is not None and named is None, "edit", "This needs a `session_id`."),
            (anew and named is None, "regenerate", "This needs a `session_id`."),
        ):
            if wrong:
                raise _wrong(field, detail)
        if named is not None or self.new_session:
            return Place(named, self.new_session, self.edit, self.regenerate, self.client_id, self.on_busy)
        if self.client_id is not None:
            raise _wrong("client_id", "This needs a session: send `session_id`, or `new_session`.")
        return None


class ChatHealth(ResponseModel):
    """The answer of `GET /chat/health`."""

    service: Literal["chat"] = "chat"
    status: Literal["healthy"] = "healthy"
    streaming: Literal["enabled"] = "enabled"


_STATE: dict[str, Any] = {"application/json": {"schema": {"$ref": "#/components/schemas/StreamOut"}}}


@router.post(
    "",
    summary="Answer a message",
    response_class=StreamingResponse,
    openapi_extra={
        "parameters": [FORMAT_PARAMETER, SESSION_ID_PARAMETER, LAST_EVENT_ID_PARAMETER, IDEMPOTENCY_KEY_PARAMETER]
    },
    responses=stream_responses(
        *REFUSALS, "malformed_request", "malformed_cursor", "request_timeout", "cursor_ahead", "body_too_large",
        "unsupported_media_type", "invalid_request", "unsupported_parameter", "message_too_long", "message_mismatch",
        "context_overflow", "model_not_found", "too_many_streams", "too_many_readers", "server_draining",
        "internal_error", "log_limit", "stream_timeout", "session_not_found", "message_not_found", "session_busy",
        "client_id_taken", "idempotency_mismatch", "log_unavailable", "storage_unavailable", "storage_full",
        *PROVIDER_ERRORS,
    ),
)  # fmt: skip
async def start_stream(chat: ChatRequest, request: Request) -> Response:
    """Starts a stream and follows it. The stream outlives this connection.

    A model that fails before its first word, and early enough, is refused with its status; later it is told by the
    stream's last event.

    With `Last-Event-ID` nothing is started: the stream that it names goes on after that event, for clients
    that can only repeat their request.
    """
    streams, caller = services_of(request).streaming, caller_of(request)
    wire = WIRES[_format(request)]
    order = _order(chat, request)
    last_event_id = request.headers.get("last-event-id")
    if last_event_id is not None:
        return await _repost(streams, caller, last_event_id, order.ask.message, wire)
    opened = await streams.start(caller, order)
    return StreamResponse(streams, opened.tail, wire, replayed=opened.replayed)


@public.get("/health", summary="Is chat working?", responses=problems("foreign_host"))
async def chat_health() -> ChatHealth:
    """Whether streaming is enabled."""
    return ChatHealth()


@router.get(
    "/streams/{stream_id}",
    summary="Go on reading a stream",
    response_class=StreamingResponse,
    responses={
        **stream_responses(
            *REFUSALS, "malformed_stream_id", "malformed_cursor", "stream_not_found", "cursor_ahead",
            "invalid_request", "too_many_readers", extra=_STATE,
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
    last_event_id_query: Annotated[Cursor | None, Query(alias="last_event_id", description="As the header")] = None,
    last_event_id: LastEventId = None,
    accept: Annotated[str, Header(max_length=1_000, include_in_schema=False)] = "",
) -> Response:
    """What comes after the cursor, then live. The cursor is `Last-Event-ID`, else `last_event_id`, else `after`.

    With `Accept: application/json` the stream's state instead, for clients that poll.
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
    summary="Stop a stream",
    status_code=202,
    responses=refusals("malformed_stream_id", "stream_not_found", "request_timeout", "body_too_large"),
    response_model=StreamOut,
)
async def cancel_stream(stream_id: StreamId, streams: StreamingDep, caller: CallerDep) -> Response:
    """Stops the model and answers the stream's state. A stream that has ended keeps its outcome."""
    return _state(await streams.cancel(caller, parse_stream_id(stream_id)), status=202)


def _format(request: Request) -> Format:
    """`?format=` of the one route where FastAPI's reading of parameters would cost more than a word's journey."""
    if not request.scope["query_string"]:
        return "text"
    name = request.query_params.get("format", "text")
    if name not in WIRES:
        message = f"Input should be {' or '.join(map(repr, WIRES))}"
        raise invalid_parameter("format", message)
    return name


def _order(chat: ChatRequest, request: Request) -> Order:
    """The request for a stream, with what of it does not stand in the body."""
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


def _wrong(field: str, detail: str) -> StreamForgeError:
    return StreamForgeError("invalid_request", detail, pointer=f"#/{field}")


async def _repost(streams: StreamingService, caller: Caller, last_event_id: str, message: str, wire: Wire) -> Response:
    """Resume for clients that repeat their POST for ever on anything but a stream."""
    stream_id, seq = parse_event_id(last_event_id)
    try:
        tail = await streams.find(caller, stream_id)
    except StreamForgeError:
        return StaticStreamResponse(gone(), stream_id)
    if tail.info.message_digest != digest(message):
        raise StreamForgeError("message_mismatch")
    return _read_on(streams, tail, wire, seq) or StaticStreamResponse(b"", stream_id)


def _read_on(streams: StreamingService, tail: Tail, wire: Wire, seq: int) -> StreamResponse | None:
    """What comes after event number `seq`; nothing where that was the terminal event."""
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
    headers = {"cache-control": "no-store", "x-stream-id": snapshot.info.id}
    return Response(state_json(snapshot), status, headers, "application/json")


def _wants_json(accept: str) -> bool:
    """Whether `application/json` is named, and not to say that it is unwanted."""
    for entry in accept.lower().split(","):
        media_type, _, quality = entry.partition(";")
        if media_type.strip() == "application/json":
            return re.fullmatch(r"\s*q=0(\.0*)?\s*", quality) is None
    return False
