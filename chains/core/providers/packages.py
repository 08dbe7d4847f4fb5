"""Which package each provider's models come from: told without importing any, as that takes a second."""

import importlib.util

from domain.errors import StreamForgeError
from domain.models import ModelEntry

_OF = {
    "openai": "langchain-openai",
    "openai_compatible": "langchain-openai",
    "local": "langchain-openai",
    "anthropic": "langchain-anthropic",
    "cohere": "langchain-cohere",
    "ollama": "langchain-ollama",
}


def require_package(entry: ModelEntry) -> None:
    """Refuse a model whose provider's package is not installed."""
    if importlib.util.find_spec(_OF[entry.provider].replace("-", "_")) is None:
        raise not_installed(entry.provider)


def not_installed(provider: str) -> StreamForgeError:
    """What to do about it."""
    detail = f"The provider {provider!r} needs {_OF[provider]}, which is not installed; install requirements.txt."
    return StreamForgeError("provider_not_configured", detail)
