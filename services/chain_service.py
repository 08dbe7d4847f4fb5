"""The chains that answer, by name. LangChain stays behind them, and is imported when one first runs."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from importlib import import_module

from chains.core.llm_setup import LLMSetup
from domain.events import Said
from domain.models import Finished, ModelEntry
from domain.streams import Ask
from domain.usage import Usage

Chain = AsyncGenerator[Said | Usage | Finished, None]


class ChainService:
    """Makes the chains of the catalogue's models."""

    def __init__(self, llms: LLMSetup) -> None:
        self._llms = llms
        self._chat: Callable[..., Chain] | None = None

    def require(self, entry: ModelEntry) -> None:
        """Refuse, before anything is opened, what is known to fail without asking the model."""
        self._llms.require(entry)

    async def create_chat_chain(self, entry: ModelEntry, ask: Ask) -> Chain:
        """A model's answer to one message: its words, then `Finished`, or a `StreamForgeError`.

        The model is ready then, and is asked with the first step.
        """
        self._llms.require(entry)
        if self._chat is None:
            self._chat = (await asyncio.to_thread(import_module, "chains.chat")).chat  # a second, the first time
        chain: Chain = self._chat(await self._llms.ready(entry), entry, ask)
        return chain
