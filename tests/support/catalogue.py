"""Models for tests: rows of the catalogue, and files of them."""

import json
from pathlib import Path
from typing import Any

from domain.catalogue import Catalogue, ModelClocks, ModelEntry
from domain.models import SIMULATED

CLOCKS = ModelClocks(connect=5, first_token=10, stalled=5, idle=10, whole=60)
NAMED: ModelEntry = ModelEntry("test", "openai_compatible", "test", CLOCKS)
SIMULATED_ALONE = Catalogue({SIMULATED: ModelEntry(SIMULATED, "simulated", SIMULATED, CLOCKS)}, SIMULATED)


def write_catalogue(path: Path, *rows: dict[str, Any]) -> Path:
    """A catalogue of these rows."""
    file = path / "models.toml"
    file.write_text("\n".join(f"[[models]]\n{''.join(map(_line, row.items()))}" for row in rows))
    return file


def _line(item: tuple[str, Any]) -> str:
    return f"{item[0]} = {_value(item[1])}\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_value(each)}" for name, each in value.items()) + " }"
    return json.dumps(value)


PROVIDERS = ("openai", "openai_compatible", "anthropic", "cohere", "ollama")
KEYS = {name: f"sk-{name}" for name in PROVIDERS}


def row(provider: str, url: str, id: str = "m", **fields: Any) -> dict[str, Any]:
    """A model of this provider at a scripted one's `url`."""
    base = f"{url}/v1" if provider.startswith("openai") else url
    key = {"key": "openai_compatible"} if provider == "openai_compatible" else {}
    return {"id": id, "provider": provider, "base_url": base, **key, **fields}
