"""Where words come from."""

import asyncio

from config.groups.documents import DocumentSettings
from config.groups.models import ModelSettings
from config.groups.streams import StreamSettings
from domain.models import Backoff
from services.accounts.prices import Prices
from services.answering.cooling import Cooling
from services.answering.failover import Failover, RetryPolicy
from services.answering.grounding import Grounding, Grounds
from services.answering.providers import ByProvider, Opener
from services.answering.simulated import Responder, Simulated
from services.chain_service import ChainService
from services.documents.retrieval import Retriever


def open_answering(
    chains: ChainService,
    prices: Prices,
    retriever: Retriever,
    *,
    streams: StreamSettings,
    models: ModelSettings,
    documents: DocumentSettings,
) -> Grounding:
    """Answers from documents, around whatever the request's model is."""
    responder = Responder(Simulated(streams.SIMULATED_TEXT, streams.STREAM_DELAY))
    cooling = Cooling(models.MODEL_COOLING, asyncio.get_running_loop().time)
    backoff = Backoff(models.MODEL_RETRIES, models.MODEL_RETRY_BACKOFF, models.MODEL_RETRY_AFTER_MAX)
    failover = Failover(Opener(responder, chains).open, prices, cooling, RetryPolicy(backoff, models.MODEL_BUDGET))
    grounds = Grounds(documents.ENABLE_RAG, documents.RAG_STRICT, documents.CHUNK_SIZE)
    return Grounding(retriever, chains.create_chat_chain, grounds, ByProvider(responder, failover))
