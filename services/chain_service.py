"""The chains that answer, by name. LangChain stays behind them, and is imported when one first runs."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from importlib import import_module

from chains.core.llm_setup import LLMSetup
from domain.events import Delta, Reasoning
from domain.models import Finished, ModelEntry
from domain.streams import Ask
from domain.usage import Usage

Chain = AsyncGenerator[Delta | Reasoning | Usage | Finished, None]


class ChainService:
    """Makes the chains of the catalogue's models."""

    def __init__(self, llms: LLMSetup) -> None:
        self._llms = llms

    def require(self, entry: ModelEntry) -> None:
        """Refuse, before anything is opened, what is known to fail without asking the model."""
        self._llms.require(entry)

    def create_chat_chain(self, entry: ModelEntry, ask: Ask) -> Chain:
        """A model's answer to one message: its words, then `Finished`, or a `StreamForgeError`."""
        return _chat(self._llms, entry, ask)


async def _chat(llms: LLMSetup, entry: ModelEntry, ask: Ask) -> Chain:
    llms.require(entry)
    module = await asyncio.to_thread(import_module, "chains.chat")  # a second, the first time
    async with aclosing(module.chat(llms, entry, ask)) as events:
        async for event in events:
            yield event
