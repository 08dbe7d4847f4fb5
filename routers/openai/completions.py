"""OpenAI's API: chat completions, streamed or whole, and the models. Its clients need only the base URL."""

from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from domain.catalogue import ModelEntry
from domain.errors import StreamForgeError
from domain.events import Cancelled, Done, Terminal
from domain.streams import Order, digest, ended_badly
from domain.usage import spent_any
from routers.deps import CallerDep, ModelsDep, caller_of, services_of
from routers.http.guard import guarded
from routers.http.leaving import ClientLeft, unless_left
from routers.http.request_headers import idempotency_key, wants_to_detach
from routers.openai.completion_request import CompletionRequest
from routers.openai.completion_response import CONTENT
from routers.openai.errors import OPENAI_ERROR
from routers.openapi.codes import GUARDED, STARTS_A_STREAM, responses
from routers.openapi.parameters import DETACH_PARAMETER, IDEMPOTENCY_KEY_PARAMETER
from routers.openapi.streams import STREAM_HEADERS
from routers.schemas.base import ResponseModel
from routers.streams.responses import StreamResponse
from services.streaming_service import StreamingService
from services.streams.starting import Opened
from wires.openai import OpenAIEncoder, completion
from wires.table import WIRES, AnyWire

router = APIRouter(prefix="/v1", tags=["OpenAI"], route_class=guarded("chat"))

_WIRE = WIRES["openai"]
_WITH_USAGE = replace(_WIRE, encoder=partial(OpenAIEncoder, usage=True))
_LEFT = 499
"""The status in the log of a request whose client has left; it is sent to no client."""


class OpenAIModel(ResponseModel):
    """A model, as OpenAI's clients list them."""

    id: str = Field(max_length=200)
    object: Literal["model"] = "model"
    created: int = Field(0, ge=0, le=2**53, description="Not known here")
    owned_by: str = Field(max_length=100)


class OpenAIModels(ResponseModel):
    """The models that the caller may use."""

    object: Literal["list"] = "list"
    data: list[OpenAIModel] = Field(max_length=2_000)


@router.post(
    "/chat/completions",
    summary="Create a chat completion",
    response_class=StreamingResponse,
    openapi_extra={"parameters": [DETACH_PARAMETER, IDEMPOTENCY_KEY_PARAMETER]},
    responses={
        200: {"description": "The answer", "content": CONTENT, "headers": STREAM_HEADERS},
        **responses(*GUARDED, *STARTS_A_STREAM, "stream_cancelled", shape=OPENAI_ERROR),
    },
)
async def create_chat_completion(chat: CompletionRequest, request: Request) -> Response:
    """Answers a conversation, of which this server keeps nothing. With `stream` it streams, else it waits for the end.

    A client that hangs up stops the model, unless it sends `X-Stream-Detach: true`. Any stream can be followed, and
    resumed, at `/chat/streams/{X-Stream-Id}`.
    """
    streams = services_of(request).streaming
    order = _order(chat, request)
    try:
        opened = await streams.start(caller_of(request), order)
    except StreamForgeError as error:
        if error.pointer == "#/max_tokens" and chat.max_completion_tokens is not None:
            error.pointer = "#/max_completion_tokens"
        raise
    if chat.stream:
        return StreamResponse(streams, opened.tail, _wire(chat), replayed=opened.replayed)
    return await _whole(streams, opened, request)


@router.get("/models", summary="List models (OpenAI)", responses=responses(*GUARDED, shape=OPENAI_ERROR))
async def list_openai_models(caller: CallerDep, models: ModelsDep) -> OpenAIModels:
    """Every model that the caller may use."""
    return OpenAIModels(data=[_shown(entry) for entry in models.all(caller)])


@router.get(
    "/models/{model_id:path}",
    summary="Get a model (OpenAI)",
    responses=responses(*GUARDED, "model_not_found", shape=OPENAI_ERROR),
)
async def get_openai_model(
    model_id: Annotated[str, Path(json_schema_extra={"maxLength": 200})], caller: CallerDep, models: ModelsDep
) -> OpenAIModel:
    """The model with this id."""
    return _shown(models.get(model_id, caller))


def _shown(entry: ModelEntry) -> OpenAIModel:
    return OpenAIModel(id=entry.id, owned_by=entry.provider)


def _order(chat: CompletionRequest, request: Request) -> Order:
    key = idempotency_key(request)
    asked = chat.model_dump_json(exclude_defaults=True, exclude={"stream", "stream_options"}) if key else ""
    return Order(
        chat.ask(),
        chat.model,
        "detach" if wants_to_detach(request) else "cancel",
        idempotency_key=key,
        digest=digest(f"openai {asked}") if key else b"",
    )


def _wire(chat: CompletionRequest) -> AnyWire:
    options = chat.stream_options
    return _WITH_USAGE if options is not None and options.include_usage else _WIRE


async def _whole(streams: StreamingService, opened: Opened, request: Request) -> Response:
    """The whole answer, once it has ended. A client that waits for it counts as a reader, and leaves like one."""
    tail = opened.tail
    try:
        end = await unless_left(request.receive, streams.outcome(tail))
    except ClientLeft:
        return Response(status_code=_LEFT)
    headers = {"x-stream-id": tail.info.id}
    if opened.replayed:
        headers["idempotent-replayed"] = "true"
    body = completion(tail.info, tail.events, _done(tail.info.id, end))
    return Response(body, 200, headers, "application/json")


def _done(stream_id: str, end: Terminal) -> Done:
    """The end of a complete answer; raises the error that any other end amounts to."""
    if isinstance(end, Done):
        return end
    if isinstance(end, Cancelled):
        raise StreamForgeError("stream_cancelled", stream_id=stream_id, spent=spent_any(end.spent))
    raise ended_badly(stream_id, end)
