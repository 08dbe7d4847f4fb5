"""What a chat completion may be asked with: OpenAI's request, each part of it within bounds.

Fields that are not here are ignored, as clients bring many. What is here and cannot be done is refused by its name.
"""

import base64
import binascii
import math
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from domain.errors import StreamForgeError
from domain.events import ToolCall, writable
from domain.models import Effort, Parameters, ResponseFormat, Tool, ToolChoice
from domain.streams import Ask, Image, Turn
from routers.schemas.base import LenientModel, StopText, writable_text

MAX_FIELDS = 100
MAX_MESSAGES = 2_000
MAX_PARTS = 1_000
MAX_TOOLS = 128
MAX_DEPTH = 50

_DATA_URL = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,")
_KINDS = ("none", "auto", "required")

Text = Annotated[str, Field(max_length=10_000_000)]
CallId = Annotated[str, Field(min_length=1, max_length=200)]
FunctionName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]+$", min_length=1, max_length=64)]


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """JSON that every provider's package can write down again."""
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
                raise ValueError("This may not hold numbers that JSON does not have.")
        if not below:
            return value
        level = below
    raise ValueError(f"This is nested more than {MAX_DEPTH} deep.")


Schema = Annotated[dict[str, Any], Field(max_length=1_000), AfterValidator(_plain)]


class OpenAIModelIn(LenientModel):
    """A part of a request of OpenAI's clients."""

    max_fields = MAX_FIELDS


class ImageIn(OpenAIModelIn):
    """A picture, in the request itself: this server fetches nothing for anybody."""

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


class PartIn(OpenAIModelIn):
    """A part of a message's content."""

    type: Literal["text", "image_url", "refusal"]
    text: Text | None = None
    image_url: ImageIn | None = None
    refusal: Text | None = None

    @model_validator(mode="after")
    def _has_what_it_is(self) -> Self:
        if getattr(self, self.type) is None:
            raise ValueError(f"A part of type {self.type!r} has a field of that name.")
        return self


class CalledIn(OpenAIModelIn):
    """What was called."""

    name: str = Field(min_length=1, max_length=200)
    arguments: Text


class CallIn(OpenAIModelIn):
    """A call that the assistant has made."""

    id: CallId
    type: Literal["function"] = "function"
    function: CalledIn


def _as_parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


Parts = Annotated[
    list[PartIn],
    Field(max_length=MAX_PARTS),
    BeforeValidator(_as_parts, json_schema_input_type=Text | Annotated[list[PartIn], Field(max_length=MAX_PARTS)]),
]


class MessageIn(OpenAIModelIn):
    """What was said, by whom."""

    role: Literal["developer", "system", "user", "assistant", "tool"]
    content: Parts | None = None
    tool_calls: list[CallIn] | None = Field(None, max_length=MAX_TOOLS, description="The assistant's")
    tool_call_id: CallId | None = Field(None, description="The call that a tool's message is the result of")

    def turn(self) -> Turn:
        """The same, as ours. Texts that follow each other are lines of one."""
        parts = self.content or []
        text, images, after_text = "", [], False
        for part in parts:
            if part.image_url is not None and part.type == "image_url":
                images.append(Image(part.image_url.url, len(text), part.image_url.detail))
                after_text = False
            else:
                text += ("\n" if after_text else "") + writable(part.text or part.refusal or "")
                after_text = True
        calls = tuple(ToolCall(call.id, call.function.name, call.function.arguments) for call in self.tool_calls or ())
        role = "system" if self.role == "developer" else self.role
        return Turn(role, text, tuple(images), calls, self.tool_call_id if role == "tool" else None)


class FunctionIn(OpenAIModelIn):
    """A function, and what it takes."""

    name: FunctionName
    description: str | None = Field(None, max_length=100_000)
    parameters: Schema | None = Field(None, description="The JSON schema of its arguments")
    strict: bool | None = None


class ToolIn(OpenAIModelIn):
    """A tool that the client offers to run."""

    type: Literal["function"]
    function: FunctionIn


class NameIn(OpenAIModelIn):
    """One of the functions."""

    name: FunctionName


class ChoiceIn(OpenAIModelIn):
    """The one function that the model must call."""

    type: Literal["none", "auto", "required", "function"]
    function: NameIn | None = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if (self.function is None) == (self.type == "function"):
            raise ValueError("Send 'none', 'auto', 'required', or an object that names a function.")
        return self


def _as_choice(choice: Any) -> Any:
    return {"type": choice} if isinstance(choice, str) and choice in _KINDS else choice


class SchemaIn(OpenAIModelIn):
    """What the answer must look like."""

    name: FunctionName
    description: str | None = Field(None, max_length=100_000)
    schema_: Schema = Field(alias="schema")
    strict: bool | None = None


class FormatIn(OpenAIModelIn):
    """Whether the answer is text, or JSON."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaIn | None = None

    @model_validator(mode="after")
    def _described(self) -> Self:
        if self.json_schema is None and self.type == "json_schema":
            raise ValueError("The type 'json_schema' wants the field `json_schema`.")
        return self


class StreamOptionsIn(OpenAIModelIn):
    """What a stream tells besides the answer."""

    include_usage: bool | None = Field(None, description="A last chunk tells the tokens")


def _as_list(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop or None


StopTexts = Annotated[
    list[StopText] | None,
    BeforeValidator(_as_list, json_schema_input_type=StopText | Annotated[list[StopText], Field(max_length=4)] | None),
]


class CompletionRequest(OpenAIModelIn):
    """A conversation to go on with."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "simulated", "messages": [{"role": "user", "content": "Tell me about streaming"}]}],
        },
    )

    messages: list[MessageIn] = Field(min_length=1, max_length=MAX_MESSAGES)
    model: str | None = Field(None, min_length=1, max_length=200, description="An id of `GET /v1/models`")
    stream: bool | None = None
    stream_options: StreamOptionsIn | None = None
    n: int | None = Field(None, ge=1, le=128, description="1: there is one answer")
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    max_completion_tokens: int | None = Field(None, ge=1, le=100_000_000)
    max_tokens: int | None = Field(None, ge=1, le=100_000_000, description="The older name of the same")
    stop: StopTexts = Field(None, max_length=4)
    seed: int | None = Field(None, ge=0, le=2**31 - 1)
    tools: list[ToolIn] | None = Field(None, max_length=MAX_TOOLS)
    tool_choice: Annotated[
        ChoiceIn | None,
        BeforeValidator(_as_choice, json_schema_input_type=Literal["none", "auto", "required"] | ChoiceIn | None),
    ] = None
    parallel_tool_calls: bool | None = None
    response_format: FormatIn | None = None
    reasoning_effort: Effort | None = None

    def ask(self) -> Ask:
        """What the model is asked. Refused where the parts do not fit together."""
        dialogue = tuple(message.turn() for message in self.messages)
        self._check_dialogue(dialogue)
        said = [turn.text for turn in dialogue if turn.role == "user"]
        return Ask(said[-1] if said else "", self._parameters(), dialogue=dialogue)

    def _parameters(self) -> Parameters:
        tools = tuple(_tool(tool.function) for tool in self.tools or ()) or None
        self._check_choice(tools or ())
        return Parameters(
            temperature=self.temperature,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            top_p=self.top_p,
            stop=tuple(self.stop) if self.stop is not None else None,
            seed=self.seed,
            tools=tools,
            tool_choice=_choice(self.tool_choice),
            parallel_tool_calls=self.parallel_tool_calls,
            response_format=_format(self.response_format),
            reasoning_effort=self.reasoning_effort,
        )

    def _check_dialogue(self, dialogue: Sequence[Turn]) -> None:
        called: set[str] = set()
        for number, (message, turn) in enumerate(zip(self.messages, dialogue, strict=True)):
            place = f"messages/{number}"
            for wrong, field, detail in (
                (not message.content and turn.role != "assistant", "content", "This message needs a content."),
                (turn.images and turn.role != "user", "content", "Only the user's messages may show images."),
                (turn.calls and turn.role != "assistant", "tool_calls", "Only the assistant calls tools."),
                (turn.role == "tool" and turn.call_id is None, "tool_call_id", "Field required with the role 'tool'."),
                (turn.call_id and turn.call_id not in called, "tool_call_id", "No earlier message has made this call."),
            ):
                if wrong:
                    raise wrong_field(f"{place}/{field}", detail)
            called.update(call.id for call in turn.calls)

    def _check_choice(self, tools: Sequence[Tool]) -> None:
        if self.n is not None and self.n > 1:
            raise wrong_field("n", "There is one answer to a request. Send several requests for several.")
        names = [tool.name for tool in tools]
        if len(set(names)) < len(names):
            raise wrong_field("tools", "Two tools have the same name.")
        for field in ("tool_choice", "parallel_tool_calls"):
            if getattr(self, field) is not None and not tools:
                raise wrong_field(field, "This needs `tools`.")
        if self.tool_choice and self.tool_choice.function and self.tool_choice.function.name not in names:
            raise wrong_field("tool_choice", "This names none of the `tools`.")


def wrong_field(path: str, detail: str) -> StreamForgeError:
    """The refusal of a field."""
    return StreamForgeError("invalid_request", detail, pointer=f"#/{path}")


def _tool(function: FunctionIn) -> Tool:
    described = writable(function.description) if function.description is not None else None
    return Tool(function.name, described, function.parameters, function.strict)


def _choice(choice: ChoiceIn | None) -> ToolChoice | None:
    if choice is None:
        return None
    if choice.type == "function":
        return ToolChoice("named", choice.function.name if choice.function else None)
    return ToolChoice(choice.type)


def _format(wanted: FormatIn | None) -> ResponseFormat | None:
    if wanted is None or wanted.type == "text":
        return None
    told = wanted.json_schema if wanted.type == "json_schema" else None
    if told is None:
        return ResponseFormat("json_object")
    described = writable(told.description) if told.description is not None else None
    return ResponseFormat("json_schema", told.name, told.schema_, described, told.strict)
