"""The input of a run, read with the models of the protocol's own package.

They are imported with the first run, and limit no text's length, so their input is bounded first.
"""

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import ValidationError

from domain.errors import StreamForgeError
from domain.messages import MAX_CLIENT_ID, ClientMessage
from domain.streams import Ask
from domain.text import writable
from routers.ag_ui.dialogue import first_of, text_of
from routers.http.limits.json_values import check_values
from routers.schemas.base import LenientModel, fault_of_name
from routers.schemas.dialogue import ask_under, wrong_field

if TYPE_CHECKING:
    from ag_ui.core import RunAgentInput

MAX_ITEMS = 1_000
_MAX_PARTS = 5_000  # each wrong one is an error to describe, and a million bytes of them take a second
_MAX_FIELDS = LenientModel.max_fields
_MAX_MODEL_ID = 200

_NAME = {"type": "string", "minLength": 1, "maxLength": MAX_CLIENT_ID}
_OBJECTS = {"type": "array", "maxItems": MAX_ITEMS, "items": {"type": "object", "maxProperties": _MAX_FIELDS}}
INPUT = {
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


async def read_run(body: bytes) -> "RunAgentInput":
    """The run that the client asks for.

    Raises `malformed_request` or `invalid_request` if the body is not one, `body_too_large` if it holds too much.
    """
    check_values(body)
    try:
        given = orjson.loads(body)
    except ValueError:
        raise StreamForgeError("malformed_request") from None
    _bound(given)
    core = await asyncio.to_thread(import_module, "ag_ui.core")
    try:
        run: RunAgentInput = core.RunAgentInput.model_validate(given)
    except ValidationError as error:
        raise first_of(error, body=given) from None
    return run


def _bound(given: Any) -> None:
    """Refuse what the models would accept, or take long to refuse."""
    if not isinstance(given, dict) or len(given) > _MAX_FIELDS:
        raise wrong_field("threadId", "Send a RunAgentInput: an object with threadId, runId and messages.")
    for name in ("threadId", "runId"):
        value = given.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= MAX_CLIENT_ID:
            raise wrong_field(name, f"{name} is a text of 1 to {MAX_CLIENT_ID} characters.")
        if fault := fault_of_name(value):
            raise wrong_field(name, f"{name} {fault}")
    for name, value in given.items():
        if isinstance(value, list) and len(value) > MAX_ITEMS:
            raise wrong_field(name, f"{name[:100]} may have at most {MAX_ITEMS} items.")
    parts = 0
    for number, message in enumerate(given["messages"] if isinstance(given.get("messages"), list) else ()):
        if not isinstance(message, dict) or len(message) > _MAX_FIELDS:
            raise wrong_field(f"messages/{number}", "A message is an object with id, role and content.")
        parts += sum(len(value) for value in message.values() if isinstance(value, list))
    if parts > _MAX_PARTS:
        raise wrong_field("messages", f"The messages may have at most {_MAX_PARTS} parts and tool calls.")


def messages_of(run: "RunAgentInput") -> list[ClientMessage]:
    """The messages of a thread that is stored here."""
    messages: list[ClientMessage] = []
    for message in run.messages:
        name = writable(message.id) if len(message.id) <= MAX_CLIENT_ID else ""
        if message.role == "user":
            messages.append(ClientMessage(name, "user", writable(text_of(message.content))))
        elif message.role == "assistant":
            messages.append(ClientMessage(name, "assistant", writable(message.content or "")))
    return messages


def ask_in_thread(run: "RunAgentInput") -> Ask:
    """How to ask the model in a thread that is stored here. What to ask follows from the thread."""
    return ask_under([message.content for message in run.messages if message.role in ("system", "developer")])


def model_of(run: "RunAgentInput") -> str | None:
    """The model that the application names in `forwardedProps`; `None` for the server's default."""
    props = run.forwarded_props
    model = props.get("model") if isinstance(props, dict) else None
    if model is None:
        return None
    if not isinstance(model, str) or not 0 < len(model) <= _MAX_MODEL_ID:
        raise wrong_field("forwardedProps/model", "model is an id of GET /models.")
    return model
