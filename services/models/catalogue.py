"""The catalogue of models: the rows of a file, completed from the settings."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from domain.catalogue import CLOCKS, Catalogue, ModelClocks, ModelEntry, Price
from domain.errors import StreamForgeError
from domain.models import ABILITIES, PROVIDERS, SIMULATED, Parameters, Provider
from services.models.catalogue_file import CatalogueError, CatalogueFile, ModelRow

__all__ = ["CatalogueError", "Defaults", "load"]

SHIPPED = Path(__file__).parents[2] / "config" / "models.toml"

NEEDS_BASE_URL = ("openai_compatible",)
NO_BASE_URL = ("local", "simulated")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the settings say about every model. `model` is LLM_MODEL, `base_url` LLM_BASE_URL."""

    model: str | None
    base_url: str | None
    parameters: Parameters
    clocks: ModelClocks


def load(path: Path | None, defaults: Defaults) -> Catalogue:
    """Read the file, or the shipped one, and add LLM_MODEL's model; raises `CatalogueError` if anything is wrong."""
    file = CatalogueFile(path or SHIPPED)
    entries: dict[str, ModelEntry] = {}
    for index, row in enumerate(file.rows):
        if row.id in entries:
            raise file.wrong(index, "id", f"{row.id!r} is defined twice.")
        if problem := _problem(row, [each.id for each in file.rows]):
            raise file.wrong(index, *problem)
        entries[row.id] = entry = _entry(row, defaults)
        try:
            entry.check(_parameters(row))
        except StreamForgeError as error:
            raise file.wrong(index, "defaults", error.detail) from None
    default = defaults.model or (SIMULATED if SIMULATED in entries else file.rows[0].id)
    if default not in entries:
        entries[default] = _implicit(default, defaults)
    if defaults.base_url is not None:
        entries[default] = _at(defaults.base_url, entries[default])
    return Catalogue(entries, default)


def _problem(row: ModelRow, ids: list[str]) -> tuple[str, str] | None:
    """The first field that does not fit the others, and why."""
    if row.provider in NEEDS_BASE_URL and row.base_url is None:
        return "base_url", f"the provider {row.provider!r} needs one."
    if row.provider in NO_BASE_URL and row.base_url is not None:
        return "base_url", f"the provider {row.provider!r} takes none."
    if strange := [name for name in row.fallbacks if name == row.id or name not in ids]:
        return "fallbacks", f"{strange[0]!r} is not another model of this file."
    if row.max_output_tokens and row.context_window and row.max_output_tokens > row.context_window:
        return "max_output_tokens", "is larger than context_window."
    return None


def _entry(row: ModelRow, defaults: Defaults) -> ModelEntry:
    given: Mapping[str, float | None] = row.timeouts.model_dump()
    clocks = {name: given[name] or getattr(defaults.clocks, name) for name in CLOCKS}
    return _with_defaults(
        ModelEntry(
            id=row.id,
            provider=row.provider,
            model=row.model or row.id,
            clocks=ModelClocks(**clocks),
            base_url=row.base_url,
            key=row.key,
            context_window=row.context_window,
            max_output_tokens=row.max_output_tokens,
            capabilities=row.capabilities,
            unsupported=row.unsupported,
            price=Price(**row.price.model_dump()) if row.price else None,
            defaults=_parameters(row),
            fallbacks=row.fallbacks,
            scopes=row.scopes,
        ),
        defaults,
    )


def _parameters(row: ModelRow) -> Parameters:
    return Parameters(**row.defaults.model_dump())


def _with_defaults(entry: ModelEntry, defaults: Defaults) -> ModelEntry:
    """The entry with its own defaults, and the settings' for the rest, as far as the model accepts them."""
    ability, general = ABILITIES[entry.provider], defaults.parameters
    temperature, most = general.temperature, general.max_tokens
    if temperature is not None:
        temperature = min(temperature, ability.temperature[1])
    if most is not None and entry.max_output_tokens is not None:
        most = min(most, entry.max_output_tokens)
    fitting = Parameters(
        temperature=temperature if "temperature" in entry.parameters else None,
        max_tokens=most if "max_tokens" in entry.parameters else None,
    )
    return replace(entry, defaults=entry.defaults.over(fitting))


def _implicit(name: str, defaults: Defaults) -> ModelEntry:
    """The entry for a LLM_MODEL that is not an id in the file.

    `provider:model` if the prefix is a provider's name. Any other name, colons included, belongs to `openai_compatible`
    if LLM_BASE_URL is set, else to `openai`.
    """
    prefix, _, rest = name.partition(":")
    provider: Provider = "openai_compatible" if defaults.base_url else "openai"
    model = name
    if name == SIMULATED:
        provider = "simulated"
    elif rest and (known := next((each for each in PROVIDERS if each == prefix), None)) and known != SIMULATED:
        provider, model = known, rest
    compatible = provider == "openai_compatible"
    entry = ModelEntry(
        id=name,
        provider=provider,
        model=model,
        clocks=defaults.clocks,
        key="openai" if compatible else None,  # OPENAI_API_KEY is for this endpoint, and optional
    )
    return _with_defaults(entry, defaults)


def _at(base_url: str, entry: ModelEntry) -> ModelEntry:
    """The default model, at LLM_BASE_URL unless the catalogue gives its address.

    Raises `CatalogueError` if its provider has no address.
    """
    if entry.provider in NO_BASE_URL:
        raise CatalogueError(
            f"LLM_BASE_URL is set, but the default model {entry.id!r} takes no address. "
            "Name the endpoint's model in LLM_MODEL, or unset LLM_BASE_URL."
        )
    return entry if entry.base_url else replace(entry, base_url=base_url)
