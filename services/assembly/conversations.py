"""Conversations, and the model that writes about them in the background."""

from contextlib import AsyncExitStack

from config.groups.conversations import ConversationSettings
from domain.catalogue import Catalogue, ModelEntry
from domain.models import SIMULATED
from services.accounts.budget import TokenBudget
from services.accounts.prices import Prices
from services.background import run_until_closed
from services.chain_service import ChainService
from services.conversations.scribe import Choose, Scribe
from services.conversations.turns import Conversations
from services.models.catalogue import CatalogueError
from services.observing.observer import Observer
from services.storage import Storage


def check_summary_model(settings: ConversationSettings, catalogue: Catalogue) -> None:
    """Raises `CatalogueError` if SUMMARY_MODEL names no model."""
    if settings.SUMMARY_MODEL not in (None, SIMULATED, *catalogue.entries):
        raise CatalogueError(f"SUMMARY_MODEL {settings.SUMMARY_MODEL!r} is not in the catalogue.")


def open_conversations(
    settings: ConversationSettings,
    catalogue: Catalogue,
    storage: Storage,
    chains: ChainService,
    prices: Prices,
    observer: Observer,
    budget: TokenBudget,
    stack: AsyncExitStack,
    *,
    most_sessions: int | None,
) -> Conversations:
    """The conversations of all sessions; their scribe works until `stack` is closed."""
    scribe = Scribe(storage, chains, _writer(settings.SUMMARY_MODEL, catalogue), prices, observer, budget)
    run_until_closed(stack, scribe.run(), "scribe")
    return Conversations(storage, scribe, memory_tokens=settings.MEMORY_MAX_TOKENS, most_sessions=most_sessions)


def _writer(summary_model: str | None, catalogue: Catalogue) -> Choose:
    """Chooses the model that writes titles and summaries: SUMMARY_MODEL, or by default the one that answers."""

    def choose(model_id: str) -> ModelEntry | None:
        return catalogue.entries.get(summary_model or model_id)

    return choose
