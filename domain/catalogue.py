"""The catalogue of models, with the abilities, prices, clocks and fallbacks of each."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal

from domain.callers import Caller
from domain.errors import StreamForgeError
from domain.models import (
    ABILITIES,
    NOTHING_ASKED,
    PARAMETERS,
    SIMULATED,
    Ability,
    Capability,
    Parameter,
    Parameters,
    Provider,
)


@dataclass(frozen=True, slots=True)
class Price:
    """Prices per million tokens. `cached` is for input read from the provider's cache; if `None`, it costs `input`."""

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
    """One row of the catalogue. `key` is the name of an entry of PROVIDER_KEYS, never a key itself.

    With `scopes`, it exists only for callers who have at least one of them.
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

    @property
    def simulated(self) -> bool:
        """Whether this process makes up the answer itself, instantly and without failing, and asks no model."""
        return self.provider == SIMULATED

    def open_to(self, caller: Caller) -> bool:
        """Whether the caller may use the model, and so see that it exists."""
        return not self.scopes or any(map(caller.may, self.scopes))

    @property
    def parameters(self) -> list[Parameter]:
        """The parameters that the model takes."""
        ability = ABILITIES[self.provider]
        refused: frozenset[str] = frozenset(self.unsupported)
        if "tools" in refused:
            refused |= {"tool_choice", "parallel_tool_calls"}
        if "reasoning" in self.capabilities:
            refused |= ability.not_while_reasoning
        return [name for name in PARAMETERS if name in ability.parameters and name not in refused]

    def check(self, asked: Parameters, image: str | None = None) -> None:
        """Raise `unsupported_parameter` or `invalid_request`, naming the field, for what the model cannot do.

        `image` is a JSON pointer to the first image in the request's body, if there is one.
        """
        taken = self.parameters
        for name in asked.asked:
            if name not in taken:
                raise self._refused(repr(name), f"#/{name}")
        if image is not None and "vision" not in self.capabilities:
            raise self._refused("images", image)
        ability = ABILITIES[self.provider]
        self._within("temperature", asked.temperature, *ability.temperature)
        self._within("top_p", asked.top_p, *ability.top_p)
        self._within("max_tokens", asked.max_tokens, 1, self.max_output_tokens or self.context_window)
        if asked.stop is not None and len(asked.stop) > ability.stops:
            detail = f"The model {self.id!r} takes at most {ability.stops} stop sequences."
            raise StreamForgeError("invalid_request", detail, pointer="#/stop")
        self._check_values(asked, ability)

    def can(self, asked: Parameters, image: str | None = None) -> bool:
        """Whether `check` raises nothing."""
        try:
            self.check(asked, image)
        except StreamForgeError:
            return False
        return True

    def _check_values(self, asked: Parameters, ability: Ability) -> None:
        thinks = "reasoning" in self.capabilities
        if (choice := asked.tool_choice) is not None and (
            choice.kind not in ability.choices or (thinks and choice.kind in ability.not_while_reasoning)
        ):
            raise self._refused(f"the tool choice {choice.kind!r}", "#/tool_choice")
        if (wanted := asked.response_format) is not None and wanted.kind not in ability.formats:
            raise self._refused(f"the response format {wanted.kind!r}", "#/response_format")
        if (effort := asked.reasoning_effort) is not None and effort not in ability.efforts:
            raise self._refused(f"the reasoning effort {effort!r}", "#/reasoning_effort")

    def _refused(self, what: str, pointer: str) -> StreamForgeError:
        detail = f"The model {self.id!r} does not take {what}. Leave it out, or name another model."
        return StreamForgeError("unsupported_parameter", detail, pointer=pointer)

    def _within(self, name: str, value: float | None, least: float, most: float | None) -> None:
        if value is not None and (value < least or (most is not None and value > most)):
            detail = f"The model {self.id!r} takes a {name} from {least:g} to {most:,g}."
            raise StreamForgeError("invalid_request", detail, pointer=f"#/{name}")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The models by id, and the id of the one to use if a request names none."""

    entries: Mapping[str, ModelEntry]
    default: str

    def open_to(self, caller: Caller) -> list[ModelEntry]:
        """The models that this caller may use, in the catalogue's order."""
        return [entry for entry in self.entries.values() if entry.open_to(caller)]

    def find(self, model_id: str | None, caller: Caller, pointer: str | None = None) -> ModelEntry:
        """The model with this id, or the default; raises `model_not_found`, with similar ids as a hint.

        A model that the caller may not use counts as unknown, and no hint names it. `pointer` is the JSON pointer to
        the id, if it came in a body.
        """
        entry = self.entries.get(self.default if model_id is None else model_id)
        if entry is None or not entry.open_to(caller):
            names = [each.id for each in self.open_to(caller)]
            from difflib import get_close_matches  # only this error needs it

            near = get_close_matches((model_id or "")[:200], names, n=3, cutoff=0.5)
            hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            detail = f"There is no model with that name.{hint} GET /models lists the available ones."
            raise StreamForgeError("model_not_found", detail, pointer=pointer)
        return entry

    def fallbacks(self, entry: ModelEntry, caller: Caller) -> list[ModelEntry]:
        """The models to ask if this one fails, in order, without those that the caller may not use."""
        return [each for name in entry.fallbacks if (each := self.entries[name]).open_to(caller)]

    def candidates(
        self, entry: ModelEntry, asked: Parameters, caller: Caller, image: str | None = None
    ) -> list[ModelEntry]:
        """The model, then those of its fallbacks that take these parameters and, if there is one, the image."""
        return [entry, *(each for each in self.fallbacks(entry, caller) if each.can(asked, image))]
