"""The request for a chat completion: OpenAI's, each part of it within bounds.

Other fields are ignored, as clients send many. A field that is known here and cannot be honoured is refused by name.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from domain.models import Effort, Parameters, ResponseFormat, ToolChoice
from domain.streams import Ask
from domain.text import writable
from routers.schemas.base import LenientModel, ListOf, StopText
from routers.schemas.dialogue import (
    MAX_CALLS,
    MAX_PARTS,
    MAX_TOOLS,
    CallId,
    CallIn,
    FieldNames,
    FunctionIn,
    FunctionName,
    ImageIn,
    JsonSchema,
    Placed,
    Text,
    ask_of,
    turn_of,
    wrong_field,
)

MAX_MESSAGES = 2_000

_FIELDS = FieldNames("content", "tool_calls", "tool_call_id")
_KINDS = ("none", "auto", "required")


class PartIn(LenientModel):
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

    def said(self) -> str | ImageIn:
        """The text, or the picture."""
        if self.type == "image_url" and self.image_url is not None:
            return self.image_url
        return self.text or self.refusal or ""


def _as_parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


Parts = Annotated[
    ListOf[PartIn],
    Field(max_length=MAX_PARTS),
    BeforeValidator(_as_parts, json_schema_input_type=Text | Annotated[ListOf[PartIn], Field(max_length=MAX_PARTS)]),
]


class MessageIn(LenientModel):
    """A message of the conversation."""

    role: Literal["developer", "system", "user", "assistant", "tool"]
    content: Parts | None = None
    tool_calls: ListOf[CallIn] | None = Field(None, max_length=MAX_CALLS, description="Only the assistant's")
    tool_call_id: CallId | None = Field(None, description="The call whose result a tool's message is")

    def placed(self, number: int) -> Placed:
        """The turn that the message is; `number` counts messages from 0."""
        parts = [part.said() for part in self.content or ()]
        role = "system" if self.role == "developer" else self.role
        turn = turn_of(role, parts, self.tool_calls, self.tool_call_id)
        return Placed(turn, f"messages/{number}", empty=not parts)


class ToolIn(LenientModel):
    """A tool that the client offers to run."""

    type: Literal["function"]
    function: FunctionIn


class NameIn(LenientModel):
    """One of the functions."""

    name: FunctionName


class ChoiceIn(LenientModel):
    """The one function that the model must call."""

    type: Literal["none", "auto", "required", "function"]
    function: NameIn | None = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if (self.function is None) == (self.type == "function"):
            raise ValueError("Send 'none', 'auto', 'required', or an object that names a function.")
        return self

    def domain(self) -> ToolChoice:
        """The domain's value."""
        if self.type == "function":
            return ToolChoice("named", self.function.name if self.function else None)
        return ToolChoice(self.type)


def _as_choice(choice: Any) -> Any:
    return {"type": choice} if isinstance(choice, str) and choice in _KINDS else choice


class SchemaIn(LenientModel):
    """What the answer must look like."""

    name: FunctionName
    description: str | None = Field(None, max_length=100_000)
    schema_: JsonSchema = Field(alias="schema")
    strict: bool | None = None


class FormatIn(LenientModel):
    """Whether the answer is text, or JSON."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaIn | None = None

    @model_validator(mode="after")
    def _described(self) -> Self:
        if self.json_schema is None and self.type == "json_schema":
            raise ValueError("The type 'json_schema' needs the field `json_schema`.")
        return self

    def domain(self) -> ResponseFormat | None:
        """The domain's value; `None` for text."""
        if self.type == "text":
            return None
        schema = self.json_schema
        if self.type == "json_object" or schema is None:
            return ResponseFormat("json_object")
        description = writable(schema.description) if schema.description is not None else None
        return ResponseFormat("json_schema", schema.name, schema.schema_, description, schema.strict)


class StreamOptionsIn(LenientModel):
    """What a stream holds besides the answer."""

    include_usage: bool | None = Field(None, description="Send a last chunk with the usage")


def _as_list(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop or None


StopTexts = Annotated[
    ListOf[StopText] | None,
    BeforeValidator(
        _as_list, json_schema_input_type=StopText | Annotated[ListOf[StopText], Field(max_length=4)] | None
    ),
]


class CompletionRequest(LenientModel):
    """A conversation to continue."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "simulated", "messages": [{"role": "user", "content": "Tell me about streaming"}]}],
        },
    )

    messages: ListOf[MessageIn] = Field(min_length=1, max_length=MAX_MESSAGES)
    model: str | None = Field(None, min_length=1, max_length=200, description="An id of `GET /v1/models`")
    stream: bool | None = None
    stream_options: StreamOptionsIn | None = None
    n: int | None = Field(None, ge=1, le=128, description="Only 1: there is one answer")
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    max_completion_tokens: int | None = Field(None, ge=1, le=100_000_000)
    max_tokens: int | None = Field(None, ge=1, le=100_000_000, description="The older name of the same")
    stop: StopTexts = Field(None, max_length=4)
    seed: int | None = Field(None, ge=0, le=2**31 - 1)
    tools: ListOf[ToolIn] | None = Field(None, max_length=MAX_TOOLS)
    tool_choice: Annotated[
        ChoiceIn | None,
        BeforeValidator(_as_choice, json_schema_input_type=Literal["none", "auto", "required"] | ChoiceIn | None),
    ] = None
    parallel_tool_calls: bool | None = None
    response_format: FormatIn | None = None
    reasoning_effort: Effort | None = None

    def ask(self) -> Ask:
        """What the model is asked; `invalid_request` if parts of the request do not fit together."""
        self._check()
        placed = [message.placed(number) for number, message in enumerate(self.messages)]
        return ask_of(placed, self._parameters(), _FIELDS)

    def _parameters(self) -> Parameters:
        return Parameters(
            temperature=self.temperature,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            top_p=self.top_p,
            stop=tuple(self.stop) if self.stop is not None else None,
            seed=self.seed,
            tools=tuple(tool.function.tool() for tool in self.tools or ()) or None,
            tool_choice=self.tool_choice.domain() if self.tool_choice else None,
            parallel_tool_calls=self.parallel_tool_calls,
            response_format=self.response_format.domain() if self.response_format else None,
            reasoning_effort=self.reasoning_effort,
        )

    def _check(self) -> None:
        if self.n is not None and self.n > 1:
            raise wrong_field("n", "There is one answer to a request. Send several requests for several.")
        for field in ("tool_choice", "parallel_tool_calls"):
            if getattr(self, field) is not None and not self.tools:
                raise wrong_field(field, "This needs `tools`.")
        chosen = self.tool_choice.function if self.tool_choice else None
        if chosen and chosen.name not in {tool.function.name for tool in self.tools or ()}:
            raise wrong_field("tool_choice", "This names none of the `tools`.")
