"""What a run of AG-UI is asked with, in the models of the protocol's own package.

They are imported with the first run, and hold no text to a length, so what they are given is bounded before.
"""

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

import orjson
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from domain.errors import StreamForgeError
from domain.events import writable
from domain.messages import MAX_CLIENT_ID, Line
from domain.models import NOTHING_ASKED, Parameters
from domain.streams import Ask
from routers.openai.completion_request import CompletionRequest
from routers.schemas.base import fault_of_name

if TYPE_CHECKING:
    from ag_ui.core import RunAgentInput

MAX_ITEMS = 1_000
_MAX_PARTS = 5_000  # each that is wrong is an error to describe, and there is a second's work in a million bytes
_MAX_FIELDS = 50
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
    """What the client wants to run; refused where it is none."""
    try:
        given = orjson.loads(body)
    except ValueError:
        raise StreamForgeError("malformed_request") from None
    _bound(given)
    core = await asyncio.to_thread(import_module, "ag_ui.core")
    try:
        run: RunAgentInput = core.RunAgentInput.model_validate(given)
    except ValidationError as error:
        raise _refused(error, given) from None
    return run


def _bound(given: Any) -> None:
    """Refuse what the models would let through, or take a long time to refuse."""
    if not isinstance(given, dict) or len(given) > _MAX_FIELDS:
        raise _invalid("threadId", "Send a RunAgentInput: an object with threadId, runId and messages.")
    for name in ("threadId", "runId"):
        value = given.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= MAX_CLIENT_ID:
            raise _invalid(name, f"{name} is a text of 1 to {MAX_CLIENT_ID} characters.")
        if fault := fault_of_name(value):
            raise _invalid(name, f"{name} {fault}")
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


def lines_of(run: "RunAgentInput") -> list[Line]:
    """What both sides said, in a thread that is kept here."""
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


def ask_of(run: "RunAgentInput") -> Ask:
    """How the model is asked, in a thread that is kept here; what it is asked follows from that."""
    system = "\n\n".join(message.content for message in run.messages if message.role in ("system", "developer"))
    return Ask("", Parameters(system=writable(system)) if system else NOTHING_ASKED)


def dialogue_of(run: "RunAgentInput") -> Ask | None:
    """What the model is asked where tools or pictures are part of it; nothing where the thread is all text.

    Apart from its names this is what OpenAI's clients send, and is held to the same bounds. Activities and reasoning
    are the client's own: no model is told of them.
    """
    messages = [_message(message) for message in run.messages if message.role not in ("activity", "reasoning")]
    if not run.tools and not any(map(_beyond_text, messages)):
        return None
    tools = [
        {"type": "function", "function": {"name": tool.name, "description": tool.description, **_parameters(tool)}}
        for tool in run.tools or ()
    ]
    try:
        return CompletionRequest.model_validate({"messages": messages, "tools": tools or None}).ask()
    except ValidationError as error:
        raise _refused(error) from None


def model_of(run: "RunAgentInput") -> str | None:
    """The model that the client's application wants, in `forwardedProps`; by default the server's."""
    props = run.forwarded_props
    model = props.get("model") if isinstance(props, dict) else None
    if model is None:
        return None
    if not isinstance(model, str) or not 0 < len(model) <= _MAX_MODEL_ID:
        raise _invalid("forwardedProps/model", "model is an id of GET /models.")
    return model


def _message(message: Any) -> dict[str, Any]:
    """A message, as OpenAI's clients would send it."""
    told: dict[str, Any] = {"role": message.role}
    content = message.content
    if isinstance(content, list):
        told["content"] = [shown for part in content if (shown := _part(part))]
    else:
        told["content"] = content
    if message.role == "tool":
        told["tool_call_id"] = message.tool_call_id
        if message.error:
            told["content"] = f"{_text(content)}\n{message.error}".strip()
    if message.role == "assistant" and message.tool_calls:
        told["tool_calls"] = [{"id": call.id, "function": call.function.model_dump()} for call in message.tool_calls]
    return told


def _part(part: Any) -> dict[str, Any] | None:
    """Text, or a picture; other media are left out, as the protocol has it for what a peer cannot use."""
    if part.type == "text":
        return {"type": "text", "text": part.text}
    if part.type != "image" or part.source.type == "file":
        return None
    source = part.source
    url = f"data:{source.mime_type};base64,{source.value}" if source.type == "data" else source.value
    return {"type": "image_url", "image_url": {"url": url}}


def _beyond_text(message: dict[str, Any]) -> bool:
    """Whether a session could not keep this."""
    content = message["content"]
    shows = isinstance(content, list) and any(part["type"] == "image_url" for part in content)
    return shows or message["role"] == "tool" or "tool_calls" in message


def _parameters(tool: Any) -> dict[str, Any]:
    return {"parameters": tool.parameters} if tool.parameters is not None else {}


def _refused(error: ValidationError, body: Any = None) -> RequestValidationError:
    """The first thing that is wrong: of a union there may be many, and one sentence is shown."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return RequestValidationError([{**first, "loc": ("body", *first["loc"])}], body=body)


def _invalid(field: str, detail: str) -> StreamForgeError:
    return StreamForgeError("invalid_request", detail, pointer=f"#/{field}")
