"""The table of providers: makes LangChain's model for an entry of the catalogue.

This module is imported when the first model is made, a provider's package when the first model of that provider is.
Every base URL and HTTP client is passed in, because the packages would otherwise take theirs from the environment.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import langchain_core.tracers.langchain  # noqa: F401 - the first answer would import it, on the event loop
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from chains.core.providers import parameters
from chains.core.providers.clients import httpx2_client, httpx_client, httpx_options
from chains.core.providers.packages import not_installed
from domain.models import Parameters

URLS = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "cohere": "https://api.cohere.com",
    "ollama": "http://127.0.0.1:11434",
}


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model to make. `connect` is in seconds; `reasoning` asks the model to show its thoughts."""

    model: str
    base_url: str | None
    api_key: str | None = field(repr=False)
    connect: float
    proxy: str | None = field(repr=False)
    reasoning: bool = False


@dataclass(frozen=True, slots=True)
class MadeModel:
    """A model, a function that translates our parameters for it, and one that closes its connections.

    `one_system`: it accepts a system prompt only at the beginning.
    """

    model: BaseChatModel = field(repr=False)
    arguments: Callable[[Parameters], dict[str, Any]]
    close: Callable[[], Awaitable[None]]
    one_system: bool = False

    @property
    def tempered(self) -> bool:
        """Whether the model accepts a temperature; LangChain's tables know which reasoning models do not."""
        return (getattr(self.model, "profile", None) or {}).get("temperature") is not False


def make(provider: str, spec: ModelSpec) -> MadeModel:
    """LangChain's model. Blocks while packages are imported: call it in a thread."""
    try:
        return PROVIDERS[provider](spec)
    except ImportError as error:  # one of the package's own dependencies is missing
        raise not_installed(provider) from error


def _openai(spec: ModelSpec) -> MadeModel:
    client = httpx2_client(connect=spec.connect, proxy=spec.proxy)
    model: Any = init_chat_model(spec.model, model_provider="openai", **_openai_options(spec, client))
    return MadeModel(model, partial(parameters.openai, responses=model._use_responses_api), client.aclose)


def _compatible(spec: ModelSpec) -> MadeModel:
    from chains.core.providers.compatible import ChatCompatible

    client = httpx2_client(connect=spec.connect, proxy=spec.proxy)
    options = _openai_options(spec, client)
    model = ChatCompatible(model=spec.model, use_responses_api=False, **options)
    return MadeModel(model, parameters.compatible, client.aclose)


def _openai_options(spec: ModelSpec, client: Any) -> dict[str, Any]:
    return {
        "base_url": spec.base_url or URLS["openai"],
        "api_key": SecretStr(spec.api_key or "none"),  # many endpoints need none, but the package requires one
        "max_retries": 0,
        "timeout": client.timeout,
        "stream_usage": True,
        "stream_chunk_timeout": None,
        "http_async_client": client,
    }


def _anthropic(spec: ModelSpec) -> MadeModel:
    import anthropic
    import langchain_anthropic  # noqa: F401 - a missing package must fail before anything is opened

    client = httpx2_client(connect=spec.connect, proxy=spec.proxy)
    url, key = spec.base_url or URLS["anthropic"], spec.api_key or "none"
    thinking: dict[str, Any] = {"thinking": {"type": "adaptive", "display": "summarized"}} if spec.reasoning else {}
    model = init_chat_model(
        spec.model,
        model_provider="anthropic",
        base_url=url,
        api_key=SecretStr(key),
        max_retries=0,
        stream_usage=True,
        **thinking,
    )
    # The class has no parameter for a client, and the one it would make itself is shared and follows redirects.
    vars(model)["_async_client"] = anthropic.AsyncAnthropic(
        api_key=key, base_url=url, max_retries=0, http_client=client, timeout=client.timeout
    )
    return MadeModel(model, parameters.anthropic, client.aclose, one_system=True)


def _cohere(spec: ModelSpec) -> MadeModel:
    import cohere
    import langchain_cohere  # noqa: F401

    client = httpx_client(connect=spec.connect, proxy=spec.proxy, verify=True)
    url, key = spec.base_url or URLS["cohere"], spec.api_key or "none"
    model: Any = init_chat_model(
        spec.model, model_provider="cohere", base_url=url, cohere_api_key=SecretStr(key), timeout_seconds=None
    )
    limits: Any = client.timeout  # the package declares a number, but passes the value on to httpx unchanged
    model.async_client = cohere.AsyncClient(
        key,
        base_url=url,
        timeout=limits,
        client_name="streamforge",
        httpx_client=client,
        log_warning_experimental_features=False,
    )
    return MadeModel(model, parameters.cohere, client.aclose, one_system=True)


def _ollama(spec: ModelSpec) -> MadeModel:
    options = httpx_options(connect=spec.connect, proxy=spec.proxy)
    if spec.api_key:
        options["headers"]["authorization"] = f"Bearer {spec.api_key}"
    model: Any = init_chat_model(
        spec.model,
        model_provider="ollama",
        base_url=spec.base_url or URLS["ollama"],
        reasoning=True if spec.reasoning else None,
        async_client_kwargs=options,
    )
    return MadeModel(model, parameters.ollama, model._async_client.close)


PROVIDERS: Mapping[str, Callable[[ModelSpec], MadeModel]] = {
    "openai": _openai,
    "openai_compatible": _compatible,
    "local": _compatible,
    "anthropic": _anthropic,
    "cohere": _cohere,
    "ollama": _ollama,
}
