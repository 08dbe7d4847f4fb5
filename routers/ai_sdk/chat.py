"""The routes that the AI SDK's `useChat` and `DefaultChatTransport` call.

A chat is a session under the client's own id. The answer continues when the client hangs up, because a page does that
when it is reloaded; only the stop route stops it.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from domain.messages import MAX_CLIENT_ID, ClientMessage
from domain.streams import Ask, Order, digest
from domain.text import writable
from routers.deps import CallerDep, ChatsDep, StreamingDep, caller_of, services_of
from routers.http.error_shapes import PLAIN_TEXT
from routers.http.guard import guarded
from routers.http.request_headers import idempotency_key
from routers.openapi.codes import (
    ANSWERS_IN_A_SESSION,
    FINDS_A_SESSION,
    GUARDED,
    MAY_HAVE_A_BODY,
    STARTS_A_STREAM,
    USES_THE_DATABASE,
    responses,
)
from routers.openapi.parameters import IDEMPOTENCY_KEY_PARAMETER
from routers.openapi.plain_text import text_stream
from routers.schemas.base import ClientId, LenientModel, ListOf
from routers.schemas.dialogue import ask_under
from routers.streams.responses import StreamResponse
from services.chats.alignment import ClientTurn
from wires.table import WIRES

MAX_MESSAGES = 1_000
MAX_PARTS = 500

router = APIRouter(prefix="/api/chat", tags=["AI SDK"], route_class=guarded("chat"))

ChatId = Annotated[str, Path(description="The client's own id for the chat")]


class UiPart(LenientModel):
    """A part of a message. Only parts of type `text` are read."""

    type: str = Field(min_length=1, max_length=200)
    text: str | None = Field(None, max_length=10_000_000)


class UiMessage(LenientModel):
    """A `UIMessage`."""

    id: str = Field("", max_length=MAX_CLIENT_ID)
    role: Literal["system", "user", "assistant"]
    parts: ListOf[UiPart] = Field(max_length=MAX_PARTS)

    def text(self) -> str:
        """The text of all its parts."""
        return writable("\n".join(part.text for part in self.parts if part.type == "text" and part.text))


class UiChat(LenientModel):
    """What the transport posts: a whole chat, or only its newest `message`."""

    id: ClientId = Field(description="The client's own id for the chat")
    messages: ListOf[UiMessage] = Field([], max_length=MAX_MESSAGES)
    message: UiMessage | None = None
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    messageId: str | None = Field(None, max_length=MAX_CLIENT_ID)  # noqa: N815 - the client's own word
    model: str | None = Field(None, min_length=1, max_length=200, description="An id of `GET /models`")

    def turn(self) -> ClientTurn:
        """The conversation as the client has it, and what to do with it."""
        shown = self.messages or ([self.message] if self.message else [])
        messages = [ClientMessage(writable(each.id), each.role, each.text()) for each in shown if each.role != "system"]
        again = self.trigger == "regenerate-message"
        once = not again and self.messageId is None
        return ClientTurn(messages, again, self.messageId and writable(self.messageId), once)

    def ask(self) -> Ask:
        """How to ask the model. What to ask follows from the chat."""
        return ask_under([message.text() for message in self.messages if message.role == "system"])


@router.post(
    "",
    summary="Continue a chat (AI SDK)",
    response_class=StreamingResponse,
    openapi_extra={"parameters": [IDEMPOTENCY_KEY_PARAMETER]},
    responses=text_stream(*GUARDED, *STARTS_A_STREAM, *ANSWERS_IN_A_SESSION),
)
async def continue_chat(chat: UiChat, request: Request) -> Response:
    """Answers the chat's last message, as a UI message stream.

    The history of a known chat is the one stored here; an unknown chat begins with the client's messages. A message
    that was sent before becomes a new branch if its text is different. If it is the same, so is the request, and it
    gets the same answer, unless that failed or a new one is asked for.
    """
    services = services_of(request)
    key = idempotency_key(request)
    about = digest(chat.model_dump_json(exclude_defaults=True)) if key is not None else b""
    order = Order(chat.ask(), chat.model, idempotency_key=key, digest=about)
    opened = await services.chats.start(caller_of(request), chat.id, chat.turn(), order)
    return StreamResponse(services.streaming, opened.tail, WIRES["ai_sdk"], replayed=opened.replayed)


@router.get(
    "/{chat_id:path}/stream",
    summary="Resume a chat (AI SDK)",
    response_class=StreamingResponse,
    responses={
        **text_stream(*GUARDED, *USES_THE_DATABASE, "not_found", "too_many_readers", "log_unavailable"),
        204: {"description": "No answer is running in it, and none ended a short while ago"},
    },
)
async def resume_chat(chat_id: ChatId, chats: ChatsDep, streams: StreamingDep, caller: CallerDep) -> Response:
    """The newest answer in the chat, from its beginning and then live; also if it ended less than 120 s ago."""
    tail = await chats.stream(caller, chat_id)
    return Response(status_code=204) if tail is None else StreamResponse(streams, tail, WIRES["ai_sdk"])


@router.post(
    "/{chat_id:path}/stop",
    summary="Stop a chat (AI SDK)",
    status_code=204,
    responses=responses(*GUARDED, *MAY_HAVE_A_BODY, *FINDS_A_SESSION, "log_unavailable", shape=PLAIN_TEXT),
)
async def stop_chat(chat_id: ChatId, chats: ChatsDep, caller: CallerDep) -> Response:
    """Stops the answer that is running in the chat, if there is one. What was said is kept."""
    await chats.stop(caller, chat_id)
    return Response(status_code=204)
