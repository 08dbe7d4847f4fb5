"""The package that each provider's models come from, without importing any, which would take a second."""

import importlib.util

from domain.catalogue import ModelEntry
from domain.errors import StreamForgeError

_OF = {
    "openai": "langchain-openai",
    "openai_compatible": "langchain-openai",
    "local": "langchain-openai",
    "anthropic": "langchain-anthropic",
    "cohere": "langchain-cohere",
    "ollama": "langchain-ollama",
}


def require_package(entry: ModelEntry) -> None:
    """Raise `provider_not_configured` if the package of the model's provider is not installed."""
    if importlib.util.find_spec(_OF[entry.provider].replace("-", "_")) is None:
        raise not_installed(entry.provider)


def not_installed(provider: str) -> StreamForgeError:
    """The error for a provider whose package is not installed, with what to do about it."""
    detail = f"The provider {provider!r} needs {_OF[provider]}, which is not installed; install requirements.txt."
    return StreamForgeError("provider_not_configured", detail)
