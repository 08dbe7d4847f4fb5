"""The chains that answer, by name. LangChain stays behind them, and is imported when one first runs."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from importlib import import_module

from chains.core.llm_setup import LLMSetup
from domain.catalogue import ModelEntry
from domain.events import Said
from domain.models import Finished
from domain.streams import Ask
from domain.usage import Usage

Chain = AsyncGenerator[Said | Usage | Finished, None]


class ChainService:
    """Makes the chains of the catalogue's models."""

    def __init__(self, llms: LLMSetup) -> None:
        self._llms = llms
        self._made: dict[str, Callable[..., Chain]] = {}

    def require(self, entry: ModelEntry) -> None:
        """Raise, before anything is opened, what is known to fail without asking the model."""
        self._llms.require(entry)

    async def create_chat_chain(self, entry: ModelEntry, ask: Ask) -> Chain:
        """A model's answer to one message. It yields words, then `Finished`, or raises a `StreamForgeError`.

        The model is ready when this returns, and is asked at the first step of the generator.
        """
        return await self._create("chat", entry, ask)

    async def create_rag_chain(self, entry: ModelEntry, ask: Ask) -> Chain:
        """As `create_chat_chain`, from the passages of `ask` and with marks that name them."""
        return await self._create("rag", entry, ask)

    async def _create(self, name: str, entry: ModelEntry, ask: Ask) -> Chain:
        self._llms.require(entry)
        make = self._made.get(name)
        if make is None:  # the first import takes a second
            make = self._made[name] = getattr(await asyncio.to_thread(import_module, f"chains.{name}"), name)
        chain: Chain = make(await self._llms.ready(entry), entry, ask)
        return chain
