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
        self._made: dict[str, Callable[..., Chain]] = {}

    def require(self, entry: ModelEntry) -> None:
        """Refuse, before anything is opened, what is known to fail without asking the model."""
        self._llms.require(entry)

    async def create_chat_chain(self, entry: ModelEntry, ask: Ask) -> Chain:
        """A model's answer to one message: its words, then `Finished`, or a `StreamForgeError`.

        The model is ready then, and is asked with the first step.
        """
        return await self._create("chat", entry, ask)

    async def create_rag_chain(self, entry: ModelEntry, ask: Ask) -> Chain:
        """A model's answer that leans on the passages of `ask`, with marks that name them; else as a chat chain's."""
        return await self._create("rag", entry, ask)

    async def _create(self, name: str, entry: ModelEntry, ask: Ask) -> Chain:
        self._llms.require(entry)
        make = self._made.get(name)
        if make is None:  # a second, the first time
            make = self._made[name] = getattr(await asyncio.to_thread(import_module, f"chains.{name}"), name)
        chain: Chain = make(await self._llms.ready(entry), entry, ask)
        return chain
