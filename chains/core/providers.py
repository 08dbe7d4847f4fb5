"""The table of providers: from a name to LangChain's class for it. Imported when the first model is made."""

from collections.abc import Callable
from dataclasses import dataclass

import langsmith
from httpx2 import Limits
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_openai.chat_models.base import BaseChatOpenAI
from openai import DefaultAsyncHttpxClient, Timeout
from pydantic import SecretStr

# Four variables of the environment could otherwise send every prompt to a tracing service.
langsmith.configure(enabled=False)

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


def _make(
    kind: type[BaseChatOpenAI], wanted: Wanted, base_url: str, api_key: str, *, responses: bool | None, trust_env: bool
) -> BaseChatModel:
    timeout = Timeout(wanted.seconds, connect=min(_CONNECT_SECONDS, wanted.seconds))
    limits = Limits(max_connections=None, max_keepalive_connections=100)  # MAX_STREAMS is the limit
    return kind(
        model=wanted.model,
        base_url=base_url,
        api_key=SecretStr(api_key),
        temperature=wanted.temperature,
        max_tokens=wanted.max_tokens,
        stream_usage=wanted.stream_usage,
        use_responses_api=responses,
        timeout=timeout,
        openai_proxy=None,  # else OPENAI_PROXY of the environment, which contradicts a client of our own
        http_async_client=DefaultAsyncHttpxClient(timeout=timeout, limits=limits, trust_env=trust_env),
    )


def _openai(wanted: Wanted) -> BaseChatModel:
    return _make(ChatOpenAI, wanted, OPENAI_URL, wanted.api_key or "", responses=None, trust_env=True)


# The base class says `max_tokens`, which such servers know; OpenAI's own successor of that field they ignore.
def _openai_compatible(wanted: Wanted) -> BaseChatModel:
    # Many take no key, but the client insists on sending one.
    key = wanted.api_key or "none"
    return _make(BaseChatOpenAI, wanted, wanted.base_url or "", key, responses=False, trust_env=True)


def _local(wanted: Wanted) -> BaseChatModel:
    # A proxy of the environment has no business between us and our own child.
    key = wanted.api_key or "none"
    return _make(BaseChatOpenAI, wanted, wanted.base_url or "", key, responses=False, trust_env=False)


PROVIDERS: dict[str, Callable[[Wanted], BaseChatModel]] = {
    "openai": _openai,
    "openai_compatible": _openai_compatible,
    "local": _local,
}


async def close_model(model: BaseChatModel) -> None:
    """Close a model's connections."""
    if isinstance(model, BaseChatOpenAI):
        await model.root_async_client.close()
