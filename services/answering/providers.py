"""Chooses who answers: the simulated responder, which runs in this process, or a model behind a chain."""

from domain.catalogue import ModelEntry
from domain.streams import Ask
from services.answering.answerer import Answerer, Run, Source
from services.answering.simulated import Responder
from services.chain_service import Chain, ChainService


class ByProvider:
    """Hands a stream to the answerer of its first model. A simulated one cannot fail, and skips the failover."""

    def __init__(self, simulated: Answerer, models: Answerer) -> None:
        self._simulated = simulated
        self._models = models

    def answer(self, ask: Ask, run: Run) -> Source:
        answerer = self._simulated if run.first.simulated else self._models
        return answerer.answer(ask, run)


class Opener:
    """Opens the answer of one model."""

    def __init__(self, responder: Responder, chains: ChainService) -> None:
        self._responder = responder
        self._chains = chains

    async def open(self, entry: ModelEntry, ask: Ask) -> Chain:
        """The model's words, then `Finished`; raises a `StreamForgeError` if the model cannot be asked."""
        if entry.simulated:  # as another model's fallback
            return self._responder.say(ask)
        if ask.passages is not None:
            return await self._chains.create_rag_chain(entry, ask)
        return await self._chains.create_chat_chain(entry, ask)
