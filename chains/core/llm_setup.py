"""Makes the chat models of the catalogue.

Importing this module is cheap: LangChain and the providers' packages are imported when the first model is made, in a
thread, so that the server starts quickly and keeps serving meanwhile.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from chains.core.local.server import Endpoint, LocalServer, local_models
from chains.core.providers.environment import forget_environment
from chains.core.providers.packages import require_package
from chains.core.tracing import Tracing
from domain.catalogue import ModelEntry
from domain.errors import StreamForgeError

if TYPE_CHECKING:
    from langchain_core.callbacks import BaseCallbackHandler

    from chains.core.providers.table import MadeModel

log = structlog.get_logger("models")

_NEED_KEYS = ("openai", "anthropic", "cohere")


@dataclass(frozen=True, slots=True)
class Ready:
    """A model that can be asked right away, and what makes the callbacks of each run."""

    made: "MadeModel"
    callbacks: "Callable[[], list[BaseCallbackHandler]]"


class LLMSetup:
    """Makes each chat model once. `keys` are the providers' keys by name."""

    def __init__(self, keys: Mapping[str, str], proxy: str | None, local: LocalServer, tracing: Tracing) -> None:
        self._keys = keys
        self._proxy = proxy
        self._local = local
        self._tracing = tracing
        self._made: dict[str, tuple[Endpoint | None, Ready]] = {}
        self._making: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def require(self, entry: ModelEntry) -> None:
        """Raise an error that says what to do if the model is certain to fail before its provider is asked."""
        try:
            self._require(entry)
        except StreamForgeError as error:
            log.warning("the model cannot be used", model=entry.id, why=error.detail)
            raise

    def _require(self, entry: ModelEntry) -> None:
        require_package(entry)
        key = _key_name(entry)
        if (entry.provider in _NEED_KEYS or entry.key not in (None, "openai")) and key not in self._keys:
            other = "OPENAI_API_KEY or " if key == "openai" else ""
            raise StreamForgeError(
                "provider_not_configured",
                f"The model {entry.id!r} needs a key: {other}the entry {key!r} of PROVIDER_KEYS, which is not set. "
                "Set it in the environment or in .env and restart.",
            )
        if entry.provider == "openai_compatible" and entry.base_url is None:
            raise StreamForgeError(
                "provider_not_configured",
                f"The model {entry.id!r} needs LLM_BASE_URL, which is not set. Set it to the endpoint's URL, which "
                "usually ends in /v1, and restart.",
            )
        if entry.provider == "local":
            self._require_local(entry)

    def _require_local(self, entry: ModelEntry) -> None:
        models = local_models()
        if not models:
            raise StreamForgeError(
                "provider_not_configured", "The local model is not installed. `make demo` installs and serves it."
            )
        if entry.model not in models:
            raise StreamForgeError("provider_model", f"The local model {entry.model!r} is not one of {sorted(models)}.")

    async def ready(self, entry: ModelEntry) -> Ready:
        """The model of `entry`, for streaming; made on first use."""
        made = self._made.get(entry.id)
        if made is not None and made[0] is None:
            return made[1]
        async with self._making[entry.id]:
            endpoint = await self._local.endpoint(entry.model) if entry.provider == "local" else None
            made = self._made.get(entry.id)
            if made is None or made[0] != endpoint:  # not made yet, or made for a child process that has since died
                ready = await asyncio.to_thread(self._make, entry, endpoint)
                if made is not None:
                    await made[1].made.close()
                self._made[entry.id] = made = (endpoint, ready)
            return made[1]

    async def close(self) -> None:
        """Close the models' connections. A model that is needed later is made again."""
        models = [ready for _, ready in self._made.values()]
        self._made.clear()
        for ready in models:
            await ready.made.close()
        await self._tracing.close()

    def create_llm(self, entry: ModelEntry, *, base_url: str | None = None, api_key: str | None = None) -> "MadeModel":
        """The catalogue's model as one of LangChain's, which streams and counts its tokens.

        Blocks while packages are imported: call it in a thread. `base_url` and `api_key` default to the entry's; for
        `local`, pass those of the running `LocalServer`.
        """
        forget_environment()
        from chains.core.providers.table import ModelSpec, make  # the first use of LangChain

        return make(
            entry.provider,
            ModelSpec(
                model=entry.model,
                base_url=base_url or entry.base_url,
                api_key=api_key or self._keys.get(_key_name(entry)),
                connect=entry.clocks.connect,
                proxy=None if entry.provider == "local" else self._proxy,
                reasoning="reasoning" in entry.capabilities,
            ),
        )

    def _make(self, entry: ModelEntry, endpoint: Endpoint | None) -> Ready:
        base_url, api_key = (endpoint.base_url, endpoint.api_key) if endpoint else (None, None)
        try:
            made = self.create_llm(entry, base_url=base_url, api_key=api_key)
            self._tracing.open()
            return Ready(made, self._tracing.callbacks)
        except StreamForgeError as error:
            log.warning("the model cannot be used", model=entry.id, why=error.detail)
            raise
        except Exception as error:  # the package does not accept what the catalogue says
            log.warning("the model cannot be made", model=entry.id, exc_info=error)
            raise StreamForgeError("provider_not_configured") from None


def _key_name(entry: ModelEntry) -> str:
    """The name of the entry's key. Endpoints compatible with OpenAI's API have no common default."""
    return entry.key or ("" if entry.provider == "openai_compatible" else entry.provider)
