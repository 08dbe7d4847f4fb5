"""The parameters of a request to a model, which of them each provider takes, and how long to wait before a retry."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from domain.events import FinishReason

SIMULATED = "simulated"

ASSUMED_WINDOW = 8_192
"""The context window, in tokens, of a model whose catalogue entry does not give one."""

Provider = Literal["openai", "anthropic", "cohere", "ollama", "openai_compatible", "local", "simulated"]
Capability = Literal["reasoning", "tools", "vision"]
Parameter = Literal[
    "temperature", "max_tokens", "top_p", "stop", "seed", "system", "tools", "tool_choice", "parallel_tool_calls",
    "response_format", "reasoning_effort",
]  # fmt: skip
Choice = Literal["none", "auto", "required", "named"]
ResponseKind = Literal["json_object", "json_schema"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]

PROVIDERS: tuple[Provider, ...] = get_args(Provider)
CAPABILITIES: tuple[Capability, ...] = get_args(Capability)
PARAMETERS: tuple[Parameter, ...] = get_args(Parameter)
EFFORTS: tuple[Effort, ...] = get_args(Effort)


def is_base_url(text: str) -> bool:
    """Whether it can be the address of a provider's API, without a login; raises ValueError for a port above 65535."""
    parts = urlsplit(text)
    port_is_valid = parts.port is None or parts.port > 0
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username and port_is_valid


@dataclass(frozen=True, slots=True)
class Ability:
    """The parameters that a provider's API accepts, and the values it allows (from its reference)."""

    parameters: frozenset[Parameter] = frozenset(PARAMETERS)
    temperature: tuple[float, float] = (0, 2)
    top_p: tuple[float, float] = (0, 1)
    stops: int = 4
    choices: frozenset[Choice] = frozenset(get_args(Choice))
    formats: frozenset[ResponseKind] = frozenset(get_args(ResponseKind))
    efforts: frozenset[Effort] = frozenset(EFFORTS)
    not_while_reasoning: frozenset[Parameter | Choice] = frozenset()


ABILITIES: Mapping[Provider, Ability] = {
    "openai": Ability(),
    "openai_compatible": Ability(),
    "local": Ability(
        frozenset(PARAMETERS) - {"parallel_tool_calls", "reasoning_effort"}, choices=frozenset({"none", "auto"})
    ),
    "ollama": Ability(
        frozenset(PARAMETERS) - {"parallel_tool_calls"},
        choices=frozenset({"none", "auto"}),
        efforts=frozenset({"none", "low", "medium", "high"}),
    ),
    "anthropic": Ability(
        frozenset(PARAMETERS) - {"seed"},
        temperature=(0, 1),
        formats=frozenset({"json_schema"}),
        efforts=frozenset({"low", "medium", "high", "xhigh"}),
        not_while_reasoning=frozenset({"temperature", "top_p", "required", "named"}),
    ),
    "cohere": Ability(
        frozenset(PARAMETERS) - {"parallel_tool_calls", "reasoning_effort"},
        temperature=(0, 1),
        top_p=(0.01, 0.99),
        choices=frozenset({"none", "auto", "required"}),
    ),
    "simulated": Ability(frozenset()),
}


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the client can run for the model. `schema` is the JSON schema of its arguments."""

    name: str
    description: str | None = None
    schema: Mapping[str, Any] | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether the model may, must or must not call a tool; with kind `named`, it must call the tool `name`."""

    kind: Choice
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """Asks for an answer in JSON; with kind `json_schema`, in JSON that matches `schema`."""

    kind: ResponseKind
    name: str = ""
    schema: Mapping[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class Parameters:
    """Settings of one request to a model; `None` leaves a parameter to the model's defaults."""

    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    system: str | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | None = None

    @property
    def asked(self) -> list[Parameter]:
        """The names of the parameters that are set."""
        return [name for name in PARAMETERS if getattr(self, name) is not None]

    def over(self, defaults: "Parameters") -> "Parameters":
        """These parameters, with the defaults for those that are not set."""
        if self is NOTHING_ASKED:
            return defaults
        given: dict[str, Any] = {name: getattr(self, name) for name in self.asked}
        return replace(defaults, **given)


NOTHING_ASKED = Parameters()


@dataclass(frozen=True, slots=True)
class Finished:
    """A model's own statement that its answer is complete, and why it ended."""

    reason: FinishReason


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often to try again, and how long to wait before each time, in seconds.

    The wait starts at `first` and doubles; of that, a random share between half and all is taken. It is at least what
    the other side asks for. `longest` caps both.
    """

    retries: int = 2
    first: float = 0.5
    longest: float = 20.0

    def delay(self, attempt: int, retry_after: int | None, chance: float) -> float:
        """Seconds to wait after attempt number `attempt`, from 1; `chance` is a random number from 0 to 1."""
        wait: float = min(self.first * 2 ** (attempt - 1) * (1 + chance) / 2, self.longest)
        if retry_after is None:
            return wait
        return max(wait, min(retry_after, self.longest) + self.first * chance / 4)
