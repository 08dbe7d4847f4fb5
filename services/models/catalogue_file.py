"""The catalogue as a TOML file: what a row may contain, and on which line an error is."""

import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from domain.callers import valid_scopes
from domain.models import Capability, Parameter, Provider, is_base_url
from domain.text import UNWRITABLE

MAX_BYTES = 1024 * 1024

EntryId = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$")]
ClockSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
TokenCount = Annotated[int, Field(ge=1, le=100_000_000)]
TokenPrice = Annotated[Decimal, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class CatalogueError(ValueError):
    """Why the catalogue cannot be used, in a sentence that names the line."""


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class PriceRow(_Row):
    """Per million tokens."""

    input: TokenPrice
    output: TokenPrice
    cached: TokenPrice | None = None
    currency: str = Field("USD", pattern="^[A-Z]{3}$")


class DefaultsRow(_Row):
    """Parameters for requests that do not set them."""

    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    max_tokens: TokenCount | None = None
    top_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    stop: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] | None = Field(None, max_length=4)
    seed: int | None = Field(None, ge=0, le=2**31 - 1)
    system: str | None = Field(None, min_length=1, max_length=100_000)

    @field_validator("stop", "system")
    @classmethod
    def _writable(cls, value: Any) -> Any:
        if UNWRITABLE.search("".join(value or "")):
            raise ValueError("must not contain NUL")
        return value


class ClocksRow(_Row):
    """In seconds; a clock that is not given is as in the settings."""

    connect: ClockSeconds | None = None
    first_token: ClockSeconds | None = None
    stalled: ClockSeconds | None = None
    idle: ClockSeconds | None = None
    whole: ClockSeconds | None = None


class ModelRow(_Row):
    """One model."""

    id: EntryId
    provider: Provider
    model: str | None = Field(None, min_length=1, max_length=500)
    base_url: str | None = Field(None, max_length=2_000)
    key: str | None = Field(None, min_length=1, max_length=100)
    context_window: TokenCount | None = None
    max_output_tokens: TokenCount | None = None
    capabilities: frozenset[Capability] = frozenset()
    unsupported: frozenset[Parameter] = frozenset()
    price: PriceRow | None = None
    defaults: DefaultsRow = DefaultsRow()
    timeouts: ClocksRow = ClocksRow()
    fallbacks: tuple[str, ...] = Field((), max_length=20)
    scopes: frozenset[str] = Field(frozenset(), max_length=20)

    @field_validator("scopes")
    @classmethod
    def _scopes(cls, names: frozenset[str]) -> frozenset[str]:
        return valid_scopes(names)

    @field_validator("base_url")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        if value is not None and not is_base_url(value):
            raise ValueError("must be a URL like http://127.0.0.1:8000/v1, without user or password")
        return value


class CatalogueFile:
    """A file's rows, each checked by itself. The caller checks what concerns several of them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = self._read()
        try:
            table = tomllib.loads(self._text, parse_float=Decimal)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise CatalogueError(f"{path.name} is not TOML: {error}.") from None
        self.rows = self._rows(table)

    def wrong(self, index: int, field: str, reason: str) -> CatalogueError:
        """The error for a field of a row."""
        return CatalogueError(f"{self._path.name}, line {self._line(index, field)}: {field}: {reason}")

    def _read(self) -> str:
        try:
            if self._path.stat().st_size > MAX_BYTES:
                raise CatalogueError(f"{self._path.name} is larger than {MAX_BYTES} bytes.")
            return self._path.read_text("utf-8")
        except OSError as error:
            raise CatalogueError(f"MODELS_FILE {self._path.name!r} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise CatalogueError(f"{self._path.name} is not UTF-8.") from None

    def _rows(self, table: dict[str, Any]) -> list[ModelRow]:
        models = table.pop("models", None)
        if table:
            name = next(iter(table))
            raise CatalogueError(f"{self._path.name}: {name!r} is unknown. A model begins with a line [[models]].")
        if not isinstance(models, list) or not models or not all(isinstance(row, dict) for row in models):
            raise CatalogueError(f"{self._path.name} lists no model. A model begins with a line [[models]].")
        if len(models) > 1_000:
            raise CatalogueError(f"{self._path.name} lists more than 1000 models.")
        return [self._row(index, row) for index, row in enumerate(models)]

    def _row(self, index: int, row: dict[str, Any]) -> ModelRow:
        try:
            return ModelRow.model_validate(row)
        except ValidationError as error:
            problem = error.errors(include_input=False, include_url=False)[0]
            path = [str(part) for part in problem["loc"]] or ["id"]
            message = problem["msg"].removeprefix("Value error, ")
            inner = f"{'.'.join(path[1:])}: " if len(path) > 1 and path[1] != "__root__" else ""
            raise self.wrong(index, path[0], f"{inner}{message}.") from None

    def _line(self, index: int, field: str) -> int:
        """The line of a row's field or, if it has none, of the row."""
        row, found = -1, 1
        wanted = re.compile(rf"\s*(\[models\.)?[\"']?{re.escape(field)}\b")
        for number, line in enumerate(self._text.splitlines(), 1):
            if re.match(r"\s*\[\[\s*models\s*\]\]", line):
                row += 1
                if row > index:
                    break
                found = number
            elif row == index and wanted.match(line):
                return number
        return found
