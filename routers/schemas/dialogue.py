"""A conversation that a client keeps itself and sends whole: turns, pictures, calls, and the tools that it offers.

Every protocol of such clients is held to the same bounds and rules. What a field is called, and where it stands in the
request, stays with the protocol: it builds turns with `turn_of`, and the rest is checked here.
"""

import base64
import binascii
import math
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, model_validator

from domain.errors import StreamForgeError
from domain.events import ToolCall
from domain.models import NOTHING_ASKED, Parameters, Tool
from domain.streams import Ask, Image, Turn
from domain.text import writable
from routers.schemas.base import LenientModel, ListOf, writable_text

MAX_PARTS = 1_000
MAX_CALLS = 128
MAX_TOOLS = 128
MAX_DEPTH = 50

_DATA_URL = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,")

TurnRole = Literal["user", "assistant", "system", "tool"]


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """JSON that every provider's package can serialize again."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below += each.keys()
                below += each.values()
            elif isinstance(each, list):
                below += each
            elif isinstance(each, str):
                writable_text(each)
            elif isinstance(each, float) and not math.isfinite(each):
                raise ValueError("This must not contain numbers that JSON does not have.")
        if not below:
            return value
        level = below
    raise ValueError(f"This is nested more than {MAX_DEPTH} deep.")


Text = Annotated[str, Field(max_length=10_000_000)]
CallId = Annotated[str, Field(min_length=1, max_length=200)]
FunctionName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]+$", min_length=1, max_length=64)]
JsonSchema = Annotated[dict[str, Any], Field(max_length=1_000), AfterValidator(_plain)]


class ImageIn(LenientModel):
    """A picture, in the request itself: this server fetches no URL."""

    url: str = Field(min_length=1, max_length=50_000_000, description="A data URL: `data:image/png;base64,...`")
    detail: Literal["auto", "low", "high"] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        known = _DATA_URL.match(self.url)
        if known is None:
            raise ValueError("Send images as data URLs, in base64: PNG, JPEG, GIF or WebP. No other URL is fetched.")
        try:
            base64.b64decode(self.url[known.end() :], validate=True)
        except (ValueError, binascii.Error):
            raise ValueError("The image is not valid base64.") from None
        return self


class CalledIn(LenientModel):
    """The function that was called."""

    name: str = Field(min_length=1, max_length=200)
    arguments: Text


class CallIn(LenientModel):
    """A call that the assistant has made."""

    id: CallId
    type: Literal["function"] = "function"
    function: CalledIn


class FunctionIn(LenientModel):
    """A function that the client offers to run."""

    name: FunctionName
    description: str | None = Field(None, max_length=100_000)
    parameters: JsonSchema | None = Field(None, description="The JSON schema of its arguments")
    strict: bool | None = None

    def tool(self) -> Tool:
        """The domain's value."""
        description = writable(self.description) if self.description is not None else None
        return Tool(self.name, description, self.parameters, self.strict)


Calls = Annotated[ListOf[CallIn], Field(max_length=MAX_CALLS)]
Functions = Annotated[ListOf[FunctionIn], Field(max_length=MAX_TOOLS)]


class Placed(NamedTuple):
    """A turn, the JSON pointer to its message in the request, and whether that came without any content."""

    turn: Turn
    at: str
    empty: bool = False


class FieldNames(NamedTuple):
    """What a protocol calls the fields of a message that can be wrong."""

    content: str
    calls: str
    call_id: str


def turn_of(
    role: TurnRole, parts: Iterable[str | ImageIn], calls: Sequence[CallIn] | None = None, call_id: str | None = None
) -> Turn:
    """The turn that a message amounts to. Texts that follow each other become lines of one."""
    text, images, after_text = "", [], False
    for part in parts:
        if isinstance(part, ImageIn):
            images.append(Image(part.url, len(text), part.detail))
        else:
            text += ("\n" if after_text else "") + writable(part)
        after_text = isinstance(part, str)
    called = tuple(ToolCall(call.id, call.function.name, call.function.arguments) for call in calls or ())
    return Turn(role, text, tuple(images), called, call_id if role == "tool" else None)


def ask_of(placed: Sequence[Placed], parameters: Parameters, names: FieldNames) -> Ask:
    """What the model is asked; `invalid_request`, with a pointer, if the turns or tools do not fit together."""
    _check_turns(placed, names)
    tools = [tool.name for tool in parameters.tools or ()]
    if len(set(tools)) < len(tools):
        raise wrong_field("tools", "Two tools have the same name.")
    dialogue = tuple(each.turn for each in placed)
    said = [turn.text for turn in dialogue if turn.role == "user"]
    return Ask(said[-1] if said else "", parameters, dialogue=dialogue)


def ask_under(system: Sequence[str]) -> Ask:
    """How to ask the model if the turns come from a session: under the client's system messages."""
    text = writable("\n\n".join(system))
    return Ask("", Parameters(system=text) if text else NOTHING_ASKED)


def _check_turns(placed: Sequence[Placed], names: FieldNames) -> None:
    called: set[str] = set()
    for turn, at, empty in placed:
        for wrong, field, detail in (
            (empty and turn.role != "assistant", names.content, "This message needs content."),
            (turn.images and turn.role != "user", names.content, "Only the user's messages may show images."),
            (turn.calls and turn.role != "assistant", names.calls, "Only the assistant calls tools."),
            (turn.role == "tool" and turn.call_id is None, names.call_id, "Field required with the role 'tool'."),
            (turn.call_id and turn.call_id not in called, names.call_id, "No earlier message has made this call."),
        ):
            if wrong:
                raise wrong_field(f"{at}/{field}", detail)
        called.update(call.id for call in turn.calls)


def wrong_field(path: str, detail: str) -> StreamForgeError:
    """`invalid_request` about a field of the body; `path` is its JSON pointer without the `#/`."""
    return StreamForgeError("invalid_request", detail, pointer=f"#/{path}")
