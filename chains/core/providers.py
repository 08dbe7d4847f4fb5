"""The table of providers: from a name to LangChain's class for it. Imported when the first model is made."""

from collections.abc import Callable
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from openai import DefaultAsyncHttpxClient, Timeout
from pydantic import SecretStr

# Always passed: unset, the packages would take it from the environment and send our traffic there.
OPENAI_URL = "https://api.openai.com/v1"
_CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model to make. `seconds` bounds every single wait for the endpoint."""

    model: str
    base_url: str | None
    api_key: str | None
    temperature: float
    max_tokens: int
    seconds: float
    stream_usage: bool


def _chat_openai(wanted: Wanted, base_url: str, api_key: str, *, trust_env: bool) -> BaseChatModel:
    timeout = Timeout(wanted.seconds, connect=min(_CONNECT_SECONDS, wanted.seconds))
    return ChatOpenAI(
        model=wanted.model,
        base_url=base_url,
        api_key=SecretStr(api_key),
        temperature=wanted.temperature,
        max_tokens=wanted.max_tokens,
        stream_usage=wanted.stream_usage,
        timeout=timeout,
        http_async_client=DefaultAsyncHttpxClient(timeout=timeout, trust_env=trust_env),
    )


def _openai(wanted: Wanted) -> BaseChatModel:
    return _chat_openai(wanted, OPENAI_URL, wanted.api_key or "", trust_env=True)


def _openai_compatible(wanted: Wanted) -> BaseChatModel:
    # Many such servers take no key, but the client insists on sending one.
    return _chat_openai(wanted, wanted.base_url or "", wanted.api_key or "none", trust_env=True)


def _local(wanted: Wanted) -> BaseChatModel:
    # A proxy of the environment has no business between us and our own child.
    return _chat_openai(wanted, wanted.base_url or "", wanted.api_key or "none", trust_env=False)


PROVIDERS: dict[str, Callable[[Wanted], BaseChatModel]] = {
    "openai": _openai,
    "openai_compatible": _openai_compatible,
    "local": _local,
}


async def close_model(model: BaseChatModel) -> None:
    """Close a model's connections."""
    if isinstance(model, ChatOpenAI):
        await model.root_async_client.close()
