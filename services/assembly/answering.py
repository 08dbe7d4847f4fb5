"""The container's part that says where words come from."""

import asyncio

from config.settings import Settings
from domain.retries import Backoff
from services.accounts.prices import Prices
from services.answering.cooling import Cooling
from services.answering.failover import Failover, RetryPolicy
from services.answering.grounding import Grounding, Grounds
from services.answering.providers import ByProvider, Opener
from services.answering.simulated import Responder, Simulated
from services.chain_service import ChainService
from services.documents.retrieval import Retriever


def open_answering(settings: Settings, chains: ChainService, prices: Prices, retriever: Retriever) -> Grounding:
    """Answers from documents, around whatever the request's model is."""
    responder = Responder(Simulated(settings.SIMULATED_TEXT, settings.STREAM_DELAY))
    cooling = Cooling(settings.MODEL_COOLING, asyncio.get_running_loop().time)
    backoff = Backoff(settings.MODEL_RETRIES, settings.MODEL_RETRY_BACKOFF, settings.MODEL_RETRY_AFTER_MAX)
    models = Failover(Opener(responder, chains).open, prices, cooling, RetryPolicy(backoff, settings.MODEL_BUDGET))
    grounds = Grounds(settings.ENABLE_RAG, settings.RAG_STRICT, settings.CHUNK_SIZE)
    return Grounding(retriever, chains.create_chat_chain, grounds, ByProvider(responder, models))
