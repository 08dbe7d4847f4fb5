"""The account of what was used."""

from contextlib import AsyncExitStack

from config.groups.access import AccessSettings
from domain.callers import OwnerLimits
from services.accounts.budget import TokenBudget
from services.accounts.usage_service import UsageService
from services.background import run_until_closed
from services.storage import Storage

_FLUSH_SECONDS = 5.0
_FRESH_SECONDS = 60.0
_FRESH_AMONG_SEVERAL = 5.0
"""Seconds after which a day's sum is asked for again: other processes may have added to it."""


def open_budget(limits: OwnerLimits, storage: Storage, stack: AsyncExitStack, *, several: bool) -> TokenBudget:
    """The budget of tokens; `several` says that other processes use the same database."""
    fresh = _FRESH_AMONG_SEVERAL if several else _FRESH_SECONDS
    budget = TokenBudget(storage, limits.tokens, fresh_seconds=fresh)
    stack.push_async_callback(budget.close)
    return budget


def open_usage(settings: AccessSettings, storage: Storage, budget: TokenBudget, stack: AsyncExitStack) -> UsageService:
    """The service of usage. When `stack` is closed, it stores what is still queued."""
    usage = UsageService(storage, every_stream=settings.AUTH_MODE != "none", budget=budget)
    run_until_closed(stack, usage.run(), "usage")
    stack.push_async_callback(usage.flush, _FLUSH_SECONDS)
    return usage
