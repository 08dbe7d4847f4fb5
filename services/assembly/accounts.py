"""The account of what was used."""

from contextlib import AsyncExitStack

from config.groups.access import AccessSettings
from services.accounts.usage_service import UsageService
from services.background import run_until_closed
from services.storage import Storage

_FLUSH_SECONDS = 5.0


def open_usage(settings: AccessSettings, storage: Storage, stack: AsyncExitStack) -> UsageService:
    """The service of usage. When `stack` is closed, it stores what is still queued."""
    usage = UsageService(storage, every_stream=settings.AUTH_MODE != "none")
    run_until_closed(stack, usage.run(), "usage")
    stack.push_async_callback(usage.flush, _FLUSH_SECONDS)
    return usage
