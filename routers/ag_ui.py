"""AG-UI: a run of an agent over one POST, in the models of the protocol's own package.

A thread is a session under the client's own id. The models are imported with the first run, and hold no text to a
length, so what they are given is bounded before.
"""

import asyncio
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import ValidationError

from domain.errors import StreamForgeError
from domain.events import UNWRITABLE, writable
from domain.messages import MAX_CLIENT_ID, Line
from domain.models import NOTHING_ASKED, Parameters
from domain.streams import Ask, OnDisconnect, Order, digest
from routers.deps import services_of
from routers.descriptions import IDEMPOTENCY_KEY_PARAMETER
from routers.errors import is_json
from routers.given import DETACH_PARAMETER, idempotency_key, wants_to_detach
from routers.guard import caller_of, guarded
from routers.streaming import StreamResponse
from routers.texts import STARTING, text_stream
from services.alignment import Wanted
from wires import WIRES
from wires.ag_ui import AgUiEncoder

if TYPE_CHECKING:
    from ag_ui.core import RunAgentInput

MAX_ITEMS = 1_000
_MAX_PARTS = 5_000  # each that is wrong is an error to describe, and there is a second's work in a million bytes
_MAX_FIELDS = 50

router = APIRouter(tags=["AG-UI"], route_class=guarded("chat"))

_NAME = {"type": "string", "minLength": 1, "maxLength": MAX_CLIENT_ID}
_OBJECTS = {"type": "array", "maxItems": MAX_ITEMS, "items": {"type": "object", "maxProperties": _MAX_FIELDS}}
_INPUT = {
    "type": "object",
    "description": "A `RunAgentInput` of AG-UI 1.0",
    "maxProperties": _MAX_FIELDS,
    "required": ["threadId", "runId", "messages"],
    "properties": {"threadId": _NAME, "runId": _NAME, "messages": _OBJECTS},
    "example": {
        "threadId": "my-thread",
        "runId": "my-run",
        "messages": [{"id": "1", "role": "user", "content": "Tell me about streaming"}],
    },
}


@router.post(
    "/ag-ui",
    summary="Run the agent for a client of AG-UI",
    response_class=StreamingResponse,
    openapi_extra={
        "parameters": [IDEMPOTENCY_KEY_PARAMETER, DETACH_PARAMETER],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _INPUT}}},
    },
    responses=text_stream(*STARTING),
)
async def run_agent(request: Request) -> Response:
    """Answers the last message of the thread, as a run.

    Where the thread is known, its history is the one that is kept here, as in a chat of the AI SDK. Hanging up stops
    the model, for that is how these clients abort a run.
    """
    services = services_of(request)
    key = idempotency_key(request)
    body = await request.body()
    run = await _read(request, body)
    leave: OnDisconnect = "detach" if wants_to_detach(request) else "cancel"
    about = digest(body.decode()) if key is not None else b""
    order = Order(_ask(run), on_disconnect=leave, idempotency_key=key, digest=about)
    opened = await services.chats.start(caller_of(request), run.thread_id, Wanted(_lines(run)), order)
    wire = replace(WIRES["ag_ui"], encoder=partial(AgUiEncoder, thread_id=run.thread_id, run_id=run.run_id))
    return StreamResponse(services.streaming, opened.tail, wire, replayed=opened.replayed)


async def _read(request: Request, body: bytes) -> "RunAgentInput":
    """What the client wants to run."""
    if not is_json(request.headers.get("content-type", "")):
        raise StreamForgeError("unsupported_media_type")
    try:
        given = orjson.loads(body)
    except ValueError:
        raise StreamForgeError("malformed_request") from None
    _bound(given)
    core = await asyncio.to_thread(import_module, "ag_ui.core")
    try:
        run: RunAgentInput = core.RunAgentInput.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise RequestValidationError([{**first, "loc": ("body", *first["loc"])}]) from None
    return run


def _bound(given: Any) -> None:
    """Refuse what the models would let through, or take a long time to refuse."""
    if not isinstance(given, dict) or len(given) > _MAX_FIELDS:
        raise _invalid("threadId", "Send a RunAgentInput: an object with threadId, runId and messages.")
    for name in ("threadId", "runId"):
        value = given.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= MAX_CLIENT_ID:
            raise _invalid(name, f"{name} is a text of 1 to {MAX_CLIENT_ID} characters.")
        if UNWRITABLE.search(value) or not value.strip():
            raise _invalid(name, f"{name} is blank, or holds NUL or half of a surrogate pair.")
    for name, value in given.items():
        if isinstance(value, list) and len(value) > MAX_ITEMS:
            raise _invalid(name, f"{name[:100]} may have at most {MAX_ITEMS} items.")
    parts = 0
    for number, message in enumerate(given["messages"] if isinstance(given.get("messages"), list) else ()):
        if not isinstance(message, dict) or len(message) > _MAX_FIELDS:
            raise _invalid(f"messages/{number}", "A message is an object with id, role and content.")
        parts += sum(len(value) for value in message.values() if isinstance(value, list))
    if parts > _MAX_PARTS:
        raise _invalid("messages", f"The messages may have at most {_MAX_PARTS} parts and tool calls.")


def _lines(run: "RunAgentInput") -> list[Line]:
    """What both sides said. Tools and what they returned, activities and reasoning are not told to the model."""
    lines: list[Line] = []
    for message in run.messages:
        name = writable(message.id) if len(message.id) <= MAX_CLIENT_ID else ""
        if message.role == "user":
            lines.append(Line(name, "user", writable(_text(message.content))))
        elif message.role == "assistant":
            lines.append(Line(name, "assistant", writable(message.content or "")))
    return lines


def _text(content: Any) -> str:
    """A user's content: text, or parts, of which those of text are read."""
    return content if isinstance(content, str) else "\n".join(part.text for part in content if part.type == "text")


def _ask(run: "RunAgentInput") -> Ask:
    """How the model is asked; what it is asked follows from the thread."""
    system = "\n\n".join(message.content for message in run.messages if message.role in ("system", "developer"))
    return Ask("", Parameters(system=writable(system)) if system else NOTHING_ASKED)


def _invalid(field: str, detail: str) -> StreamForgeError:
    return StreamForgeError("invalid_request", detail, pointer=f"#/{field}")
