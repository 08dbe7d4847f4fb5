"""What tokens cost: the catalogue's prices, or else the data bundled with genai-prices. Nothing is fetched."""

import asyncio
import contextlib
from decimal import Decimal
from importlib import import_module
from importlib.metadata import version
from typing import Any

import structlog

from domain.catalogue import ModelEntry, Price
from domain.usage import Cost, Usage

log = structlog.get_logger("prices")

# The package's names of these providers; a private endpoint has no public price.
_PROVIDERS = {"openai": "openai", "anthropic": "anthropic", "cohere": "cohere"}
_MILLION = Decimal(1_000_000)


class Prices:
    """Calculates the cost of attempts. An unknown cost is `None`, never zero."""

    def __init__(self) -> None:
        self._package: Any = None
        self._source = ""

    async def ready(self, entry: ModelEntry) -> None:
        """Import the bundled prices if `entry` may need them, in a thread."""
        if self._package is None and entry.price is None and entry.provider in _PROVIDERS:
            self._package, self._source = await asyncio.to_thread(_load)

    def cost(self, entry: ModelEntry, usage: Usage) -> Cost | None:
        """The cost of `usage` with the model `entry`."""
        if entry.price is not None:
            return Cost(_amount(entry.price, usage), entry.price.currency, "catalogue")
        provider = _PROVIDERS.get(entry.provider)
        if self._package is None or provider is None or entry.base_url is not None:
            return None
        used = self._package.Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_tokens,
        )
        try:
            amount = self._package.calc_price(used, entry.model, provider_id=provider).total_price
        except LookupError:
            return None
        except Exception as error:  # a missing price must not cost the answer
            log.warning("a price could not be calculated", model=entry.id, exc_info=error)
            return None
        return Cost(amount, "USD", self._source)


def _load() -> tuple[Any, str]:
    package = import_module("genai_prices")
    with contextlib.suppress(LookupError):  # the first lookup builds its tables
        package.calc_price(package.Usage(input_tokens=1), "", provider_id="openai")
    return package, f"genai-prices {version('genai-prices')}"


def _amount(price: Price, usage: Usage) -> Decimal:
    cached = min(usage.cached_tokens or 0, usage.input_tokens)
    read = cached * (price.input if price.cached is None else price.cached)
    return (read + (usage.input_tokens - cached) * price.input + usage.output_tokens * price.output) / _MILLION
