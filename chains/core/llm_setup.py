"""Which model answers, and the making of it.

Importing this module costs nothing: LangChain and the providers' packages are imported when the first
model is made, in a thread, so that the server starts in a blink and never stops serving meanwhile.
"""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import structlog

from chains.core.local_server import Endpoint, LocalServer, local_models
from domain.errors import StreamForgeError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

log = structlog.get_logger("models")

PROVIDER_NAMES = ("openai", "openai_compatible", "local")


@dataclass(frozen=True, slots=True)
class ModelName:
    """A provider, its own name for a model, and the name that clients see."""

    provider: str
    model: str
    shown: str

    @classmethod
    def parse(cls, name: str | None, base_url: str | None) -> Self | None:
        """What `LLM_MODEL` means; `None` for the simulated responder.

        `provider:model` where the prefix is a provider's name. Any other name, colons and all, belongs to
        `openai_compatible` when there is a `LLM_BASE_URL`, else to `openai`.
        """
        if name is None or name == "simulated":
            return None
        prefix, _, rest = name.partition(":")
        if rest and prefix in PROVIDER_NAMES:
            return cls(prefix, rest, name)
        return cls("openai_compatible" if base_url else "openai", name, name)


@dataclass(frozen=True, slots=True)
class LLMDefaults:
    """What a model is made with unless the call says otherwise. `seconds` bounds every single wait for it."""

    model: str | None
    base_url: str | None
    api_key: str | None = field(repr=False)
    temperature: float
    max_tokens: int
    seconds: float


class LLMSetup:
    """Makes chat models, each once."""

    def __init__(self, defaults: LLMDefaults, local: LocalServer) -> None:
        self._defaults = defaults
        self._local = local
        self._made: dict[ModelName, tuple[Endpoint | None, BaseChatModel]] = {}
        self._making = asyncio.Lock()

    def require(self, name: ModelName) -> None:
        """Refuse what is known to fail before the provider is asked, with what to do about it."""
        try:
            self._require(name)
        except StreamForgeError as error:
            log.warning("the model cannot be used", model=name.shown, why=error.detail)
            raise

    def _require(self, name: ModelName) -> None:
        if name.provider == "openai" and self._defaults.api_key is None:
            raise StreamForgeError(
                "provider_not_configured",
                f"The model {name.shown!r} needs OPENAI_API_KEY, which is not set. Set it in the environment or in "
                ".env and restart, or unset LLM_MODEL for the simulated responder.",
            )
        if name.provider == "openai_compatible" and self._defaults.base_url is None:
            raise StreamForgeError(
                "provider_not_configured",
                f"The model {name.shown!r} needs LLM_BASE_URL, which is not set. Set it to the endpoint's URL, which "
                "usually ends in /v1, and restart.",
            )
        if name.provider == "local":
            self._require_local(name)

    async def ready(self, name: ModelName) -> "BaseChatModel":
        """The model behind `name`, for streaming; made on first use."""
        async with self._making:
            endpoint = await self._local.endpoint(name.model) if name.provider == "local" else None
            made = self._made.get(name)
            if made is None or made[0] != endpoint:  # not yet, or for a child that has died since
                base_url, api_key = (endpoint.base_url, endpoint.api_key) if endpoint else (None, None)
                model = await asyncio.to_thread(
                    self.create_streaming_llm, name.provider, name.model, base_url=base_url, api_key=api_key
                )
                if made is not None:
                    await self._close(made[1])
                self._made[name] = made = (endpoint, model)
            return made[1]

    async def close(self) -> None:
        """Close what the models hold open; they are made anew when asked for again."""
        models = [model for _, model in self._made.values()]
        self._made.clear()
        for model in models:
            await self._close(model)

    async def _close(self, model: "BaseChatModel") -> None:
        from chains.core.providers import close_model  # loaded long ago: there is a model

        await close_model(model)

    def create_llm(
        self,
        provider: str = "openai",
        model: str | None = None,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        stream_usage: bool = False,
    ) -> "BaseChatModel":
        """A chat model of LangChain. Blocks while packages are imported: call it in a thread.

        `base_url` and `api_key` have defaults too; for `local` they are those of the running
        `LocalServer`. A provider that is not in the table is a `provider_model` error.
        """
        from chains.core.providers import PROVIDERS, Wanted  # the first use of LangChain

        if provider not in PROVIDERS:
            raise StreamForgeError("provider_model", f"{provider!r} is not one of the providers {PROVIDER_NAMES}.")
        defaults = self._defaults
        return PROVIDERS[provider](
            Wanted(
                model=model or defaults.model or "",
                base_url=base_url or defaults.base_url,
                api_key=api_key or defaults.api_key,
                temperature=defaults.temperature,
                max_tokens=defaults.max_tokens,
                seconds=defaults.seconds,
                stream_usage=stream_usage,
            )
        )

    def create_streaming_llm(
        self,
        provider: str = "openai",
        model: str | None = None,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
    ) -> "BaseChatModel":
        """`create_llm`, and the model's own count of tokens comes with the stream."""
        return self.create_llm(provider, model, base_url=base_url, api_key=api_key, stream_usage=True)

    def _require_local(self, name: ModelName) -> None:
        models = local_models()
        if not models:
            raise StreamForgeError(
                "provider_not_configured",
                "The local model is not installed. `make demo` installs and serves it.",
            )
        if name.model not in models:
            raise StreamForgeError("provider_model", f"The local model {name.model!r} is not one of {sorted(models)}.")
