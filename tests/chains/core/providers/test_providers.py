"""A provider's address is ours, even where the environment is full of others and the catalogue names none."""

import asyncio
from typing import Any

import pytest

from chains.core.providers.table import URLS, ModelSpec, make

STRAY = "http://stray.invalid/v1"


def address_of(provider: str, model: Any) -> str:
    match provider:
        case "openai":
            return str(model.root_async_client.base_url)
        case "anthropic":
            return str(model._async_client.base_url)
        case "cohere":
            return str(model.async_client._client_wrapper.get_base_url())
        case _:
            return str(model._async_client._client.base_url)


@pytest.mark.parametrize("provider", sorted(URLS))
async def test_no_variable_moves_a_provider(monkeypatch: pytest.MonkeyPatch, provider: str) -> None:
    for name in (
        "LANGSMITH_GATEWAY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_URL",
        "CO_API_URL", "OLLAMA_HOST",
    ):  # fmt: skip
        monkeypatch.setenv(name, STRAY)
    wanted = ModelSpec("m", base_url=None, api_key="x", connect=1, proxy=None)
    made = await asyncio.to_thread(make, provider, wanted)  # as it imports packages
    assert address_of(provider, made.model).rstrip("/") == URLS[provider]
    assert "stray" not in repr(made.model)
    await made.close()
