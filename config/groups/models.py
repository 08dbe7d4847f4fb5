"""The models: which ones answer, how they are reached, and how patient the program is with them."""

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from config.groups.values import BaseUrl, Group, Key, ModelName, Seconds, Unset, http_url, sendable


def keys_by_name(value: Any) -> Any:
    """A JSON object of keys by their provider's name."""
    if isinstance(value, str):
        try:
            value = json.loads(value or "{}")
        except ValueError:
            raise ValueError('must be a JSON object like {"anthropic": "..."}') from None
    if not isinstance(value, dict) or not all(isinstance(key, str | SecretStr) for key in value.values()):
        raise ValueError('must be a JSON object like {"anthropic": "..."}')
    return value


def all_sendable(keys: dict[str, SecretStr]) -> dict[str, SecretStr]:
    """Keys that HTTP headers can carry."""
    for key in keys.values():
        sendable(key)
    return keys


def proxy_url(value: SecretStr | None) -> SecretStr | None:
    """An HTTP proxy's address."""
    if value is not None:
        parts = urlsplit(value.get_secret_value())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be a URL like http://proxy.example:3128")
    return value


_KeysByName = Annotated[
    dict[str, SecretStr], NoDecode, Field(max_length=100), AfterValidator(all_sendable), BeforeValidator(keys_by_name)
]


class ModelSettings(Group):
    """The catalogue, the providers' keys, retries and clocks, and tracing."""

    LLM_MODEL: ModelName = None
    LLM_BASE_URL: BaseUrl = None
    LLM_TEMPERATURE: float = Field(0.7, ge=0, le=2, allow_inf_nan=False)
    LLM_MAX_TOKENS: int = Field(2000, ge=1, le=1_000_000)
    OPENAI_API_KEY: Key = None
    MODELS_FILE: Annotated[Path | None, Unset] = None
    PROVIDER_KEYS: _KeysByName = Field({})
    PROVIDER_PROXY: Annotated[SecretStr | None, AfterValidator(proxy_url), Unset] = None
    MODEL_CONNECT_TIMEOUT: Seconds = 5
    MODEL_FIRST_TOKEN_TIMEOUT: Seconds = 30
    MODEL_STALLED_AFTER: Seconds = 5
    MODEL_IDLE_TIMEOUT: Seconds = 30
    MODEL_RETRIES: int = Field(2, ge=0, le=10)
    MODEL_RETRY_BACKOFF: float = Field(0.5, ge=0, le=60, allow_inf_nan=False)
    MODEL_RETRY_AFTER_MAX: float = Field(20, ge=0, le=3_600, allow_inf_nan=False)
    MODEL_BUDGET: Seconds = 60
    MODEL_COOLING: float = Field(30, ge=0, le=86_400, allow_inf_nan=False)

    LANGSMITH_TRACING: bool = False
    LANGSMITH_ENDPOINT: Annotated[str, Field(max_length=2_000), AfterValidator(http_url)] = (
        "https://api.smith.langchain.com"
    )
    LANGSMITH_API_KEY: Key = None
    LANGSMITH_PROJECT: str = Field("streamforge", min_length=1, max_length=200)

    def provider_keys(self) -> dict[str, str]:
        """The key of each provider that has one, by its name."""
        keys = {name: key.get_secret_value() for name, key in self.PROVIDER_KEYS.items()}
        if self.OPENAI_API_KEY is not None:
            keys["openai"] = self.OPENAI_API_KEY.get_secret_value()
        return keys

    def provider_proxy(self) -> str | None:
        """The proxy that providers are reached through, if any. It may hold a password."""
        return self.PROVIDER_PROXY.get_secret_value() if self.PROVIDER_PROXY else None
