"""The models that callers may use: what each is called, what it can do, and what may be asked of it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Literal, get_args

from domain.callers import Caller
from domain.errors import StreamForgeError
from domain.events import FinishReason

SIMULATED = "simulated"

Provider = Literal["openai", "anthropic", "cohere", "ollama", "openai_compatible", "local", "simulated"]
Capability = Literal["reasoning", "tools", "vision"]
Parameter = Literal["temperature", "max_tokens", "top_p", "stop", "seed", "system"]

PROVIDERS: tuple[Provider, ...] = get_args(Provider)
CAPABILITIES: tuple[Capability, ...] = get_args(Capability)
PARAMETERS: tuple[Parameter, ...] = get_args(Parameter)


@dataclass(frozen=True, slots=True)
class Ability:
    """What a provider's API takes: which parameters, and within which numbers (from its reference)."""

    parameters: frozenset[Parameter] = frozenset(PARAMETERS)
    temperature: tuple[float, float] = (0, 2)
    top_p: tuple[float, float] = (0, 1)
    stops: int = 4
    not_while_reasoning: frozenset[Parameter] = frozenset()


ABILITIES: Mapping[Provider, Ability] = {
    "openai": Ability(),
    "openai_compatible": Ability(),
    "local": Ability(),
    "ollama": Ability(),
    "anthropic": Ability(
        frozenset(PARAMETERS) - {"seed"}, temperature=(0, 1), not_while_reasoning=frozenset({"temperature", "top_p"})
    ),
    "cohere": Ability(temperature=(0, 1), top_p=(0.01, 0.99)),
    "simulated": Ability(frozenset()),
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """How the answer is to be made; `None` leaves it to the model's defaults."""

    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    system: str | None = None

    @property
    def asked(self) -> list[Parameter]:
        """The names of those that are set."""
        return [name for name in PARAMETERS if getattr(self, name) is not None]

    def over(self, defaults: "Parameters") -> "Parameters":
        """These, and for those that are not set the defaults."""
        if self is NOTHING_ASKED:
            return defaults
        given: dict[str, Any] = {name: getattr(self, name) for name in self.asked}
        return replace(defaults, **given)


NOTHING_ASKED = Parameters()


@dataclass(frozen=True, slots=True)
class Price:
    """Money for a million tokens. `cached` is for input read from the provider's cache; unset, it costs as input."""

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class ModelClocks:
    """The limits of one model, in seconds."""

    connect: float
    first_token: float
    stalled: float
    idle: float
    whole: float


CLOCKS: tuple[str, ...] = tuple(field.name for field in fields(ModelClocks))


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One row of the catalogue. `key` names an entry of PROVIDER_KEYS, and never is a key itself.

    With `scopes` it is there only for callers who have one of them.
    """

    id: str
    provider: Provider
    model: str
    clocks: ModelClocks
    base_url: str | None = None
    key: str | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[Capability] = frozenset()
    unsupported: frozenset[Parameter] = frozenset()
    price: Price | None = None
    defaults: Parameters = NOTHING_ASKED
    fallbacks: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset()

    def open_to(self, caller: Caller) -> bool:
        """Whether the caller may use it, and so know of it."""
        return not self.scopes or any(map(caller.may, self.scopes))

    @property
    def parameters(self) -> list[Parameter]:
        """The parameters that it takes."""
        ability = ABILITIES[self.provider]
        refused = self.unsupported
        if "reasoning" in self.capabilities:
            refused = refused | ability.not_while_reasoning
        return [name for name in PARAMETERS if name in ability.parameters and name not in refused]

    def check(self, asked: Parameters) -> None:
        """Refuse what the model cannot do: `unsupported_parameter`, or `invalid_request`, naming the field."""
        taken = self.parameters
        for name in asked.asked:
            if name not in taken:
                detail = f"The model {self.id!r} does not take {name!r}. Leave it out, or name another model."
                raise StreamForgeError("unsupported_parameter", detail, pointer=f"#/{name}")
        ability = ABILITIES[self.provider]
        self._within("temperature", asked.temperature, *ability.temperature)
        self._within("top_p", asked.top_p, *ability.top_p)
        self._within("max_tokens", asked.max_tokens, 1, self.max_output_tokens or self.context_window)
        if asked.stop is not None and len(asked.stop) > ability.stops:
            detail = f"The model {self.id!r} takes at most {ability.stops} stop sequences."
            raise StreamForgeError("invalid_request", detail, pointer="#/stop")

    def can(self, asked: Parameters) -> bool:
        """Whether `check` passes."""
        try:
            self.check(asked)
        except StreamForgeError:
            return False
        return True

    def _within(self, name: str, value: float | None, least: float, most: float | None) -> None:
        if value is not None and (value < least or (most is not None and value > most)):
            detail = f"The model {self.id!r} takes a {name} from {least:g} to {most:,g}."
            raise StreamForgeError("invalid_request", detail, pointer=f"#/{name}")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The models by id, and the one that answers where none is named."""

    entries: Mapping[str, ModelEntry]
    default: str

    def open_to(self, caller: Caller) -> list[ModelEntry]:
        """The models that there are for this caller, in the catalogue's order."""
        return [entry for entry in self.entries.values() if entry.open_to(caller)]

    def find(self, model_id: str | None, caller: Caller, pointer: str | None = None) -> ModelEntry:
        """The model with this id, by default the default; `model_not_found` with those that are called nearly so.

        A model that the caller may not use is as unknown as any other, and no hint names it. `pointer` is where in a
        body the id stands, if it came in one.
        """
        entry = self.entries.get(model_id or self.default)
        if entry is None or not entry.open_to(caller):
            names = [each.id for each in self.open_to(caller)]
            near = get_close_matches((model_id or "")[:200], names, n=3, cutoff=0.5)
            hint = f" Nearly so called: {', '.join(map(repr, near))}." if near else ""
            detail = f"There is no model of that name.{hint} GET /models lists those there are."
            raise StreamForgeError("model_not_found", detail, pointer=pointer)
        return entry

    def fallbacks(self, entry: ModelEntry, caller: Caller) -> list[ModelEntry]:
        """Who is asked instead of the model, as far as the caller may use them."""
        return [each for name in entry.fallbacks if (each := self.entries[name]).open_to(caller)]

    def candidates(self, entry: ModelEntry, asked: Parameters, caller: Caller) -> list[ModelEntry]:
        """The model, then those of its fallbacks that can do what is asked."""
        return [entry, *(each for each in self.fallbacks(entry, caller) if each.can(asked))]


@dataclass(frozen=True, slots=True)
class Finished:
    """A model's own word that its answer is whole, and why it ended."""

    reason: FinishReason
