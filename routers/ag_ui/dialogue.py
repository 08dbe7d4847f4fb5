"""Runs with tools or pictures: AG-UI's messages and tools in our own words, as the model is asked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import ConfigDict, TypeAdapter, ValidationError

from domain.models import Parameters
from domain.streams import Ask
from routers.schemas.dialogue import (
    MAX_PARTS,
    CallId,
    Calls,
    FieldNames,
    Functions,
    ImageIn,
    Placed,
    ask_of,
    turn_of,
    wrong_field,
)

if TYPE_CHECKING:
    from ag_ui.core import RunAgentInput

T = TypeVar("T")
At = tuple[str | int, ...]
"""Where a value stands in the body."""

_FIELDS = FieldNames("content", "toolCalls", "toolCallId")
_LATER = ConfigDict(defer_build=True)
_CALL_ID: TypeAdapter[CallId] = TypeAdapter(CallId, config=_LATER)
_CALLS: TypeAdapter[Calls] = TypeAdapter(Calls, config=_LATER)
_FUNCTIONS: TypeAdapter[Functions] = TypeAdapter(Functions, config=_LATER)
_FOR_THE_CLIENT = ("activity", "reasoning")
"""Roles whose messages are not sent to the model."""


def dialogue_of(run: "RunAgentInput") -> Ask | None:
    """What the model is asked if tools or pictures are part of it; `None` if the thread is all text."""
    messages = [
        (("messages", number), each) for number, each in enumerate(run.messages) if each.role not in _FOR_THE_CLIENT
    ]
    if not run.tools and not any(_beyond_text(message) for _, message in messages):
        return None
    if not messages:
        raise wrong_field("messages", "There is no message to answer.")
    tools = [
        {"name": tool.name, "description": tool.description, "parameters": tool.parameters} for tool in run.tools or ()
    ]
    functions = checked(_FUNCTIONS, tools, ("tools",))
    parameters = Parameters(tools=tuple(function.tool() for function in functions) or None)
    return ask_of([_placed(message, at) for at, message in messages], parameters, _FIELDS)


def text_of(content: Any) -> str:
    """The text of a user's or a tool's content: a text itself, or the parts that are text as lines of one."""
    return content if isinstance(content, str) else "\n".join(part.text for part in content if part.type == "text")


def checked(adapter: TypeAdapter[T], value: Any, at: At) -> T:
    """The validated value; raises a refusal that points to what is wrong in the body."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise first_of(error, at) from None


def first_of(error: ValidationError, at: At = (), *, within: bool = True, body: Any = None) -> RequestValidationError:
    """The first error: a union may have many, and one sentence is shown.

    `at` is where the value stands in the body; without `within` the pointer ends there, for a value of our own making.
    """
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ("body", *at, *(first["loc"] if within else ()))
    return RequestValidationError([{**first, "loc": place}], body=body)


def _beyond_text(message: Any) -> bool:
    """Whether the message has something that a session cannot store."""
    content = message.content
    shows = isinstance(content, list) and any(map(_is_picture, content))
    return shows or message.role == "tool" or bool(message.role == "assistant" and message.tool_calls)


def _is_picture(part: Any) -> bool:
    return bool(part.type == "image" and part.source.type != "file")


def _placed(message: Any, at: At) -> Placed:
    place, content = "/".join(map(str, at)), message.content
    if message.role == "tool":
        text = text_of(content)
        if message.error:
            text = f"{text}\n{message.error}".strip()
        call_id = checked(_CALL_ID, message.tool_call_id, (*at, "toolCallId"))
        return Placed(turn_of("tool", [text], call_id=call_id), place)
    if message.role == "assistant":
        calls = [{"id": call.id, "function": call.function.model_dump()} for call in message.tool_calls or ()]
        texts = [] if content is None else [content]
        return Placed(turn_of("assistant", texts, checked(_CALLS, calls, (*at, "toolCalls"))), place)
    parts = [content] if isinstance(content, str) else _parts(content, (*at, "content"))
    turn = turn_of("user" if message.role == "user" else "system", parts)
    return Placed(turn, place, empty=not parts)


def _parts(content: Sequence[Any], at: At) -> list[str | ImageIn]:
    """Texts and pictures. Other media are left out, as the protocol demands of peers that cannot use them."""
    if len(content) > MAX_PARTS:
        raise wrong_field("/".join(map(str, at)), f"This may have at most {MAX_PARTS} parts.")
    parts: list[str | ImageIn] = []
    for number, part in enumerate(content):
        if part.type == "text":
            parts.append(part.text)
        elif _is_picture(part):
            parts.append(_picture(part.source, (*at, number, "source")))
    return parts


def _picture(source: Any, at: At) -> ImageIn:
    url = f"data:{source.mime_type};base64,{source.value}" if source.type == "data" else source.value
    try:
        return ImageIn(url=url)
    except ValidationError as error:
        raise first_of(error, at, within=False) from None
