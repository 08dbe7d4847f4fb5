"""The chains that answer, by name. LangChain stays behind them, and is imported when one first runs."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from importlib import import_module

from chains.core.llm_setup import LLMSetup, ModelName
from domain.events import Delta, Done

SIMULATED = "simulated"


class ChainService:
    """Makes the chains of one model; `None` stands for the simulated responder, which needs no chain."""

    def __init__(self, llms: LLMSetup, name: ModelName | None) -> None:
        self._llms = llms
        self._name = name

    @property
    def model(self) -> str:
        """The model as clients see it: `simulated`, or what `LLM_MODEL` says."""
        return self._name.shown if self._name else SIMULATED

    def create_chat_chain(self, message: str) -> AsyncGenerator[Delta | Done, None]:
        """The model's answer to one message: deltas, then `Done`, or a `StreamForgeError`.

        Refused at once, before anything is opened, where it can be known without asking the model.
        """
        if self._name is None:
            raise ValueError("the simulated responder has no chain")
        self._llms.require(self._name)
        return _chat(self._llms, self._name, message)


async def _chat(llms: LLMSetup, name: ModelName, message: str) -> AsyncGenerator[Delta | Done, None]:
    module = await asyncio.to_thread(import_module, "chains.chat")  # a second, the first time
    async with aclosing(module.chat(llms, name, message)) as events:
        async for event in events:
            yield event
