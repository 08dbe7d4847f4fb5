"""The log of streams, and what starts, follows and stops them."""

import asyncio
from contextlib import AsyncExitStack
from importlib import import_module

from config.groups.storage import StorageSettings
from config.groups.streams import StreamSettings
from services.access.running import RunningStreams
from services.accounts.budget import TokenBudget
from services.accounts.prices import Prices
from services.answering.grounding import Grounding
from services.conversations.turns import Conversations
from services.models.model_service import ModelService
from services.observing.observer import Observer
from services.streaming_service import StreamingService
from services.streams.admission import Admission, Door, Limits
from services.streams.elsewhere import Estimate
from services.streams.following import Following
from services.streams.readers import Readers
from services.streams.starting import Starting
from services.streams.stopping import Stopping
from services.streams.supervisor import Supervisor
from stores.streams.base import StreamLog
from stores.streams.memory import MemoryStreamLog


async def open_log(stack: AsyncExitStack, *, streams: StreamSettings, storage: StorageSettings) -> StreamLog:
    """The log: in memory, or in the Redis of REDIS_URL."""
    retention, retained_bytes = streams.STREAM_RETENTION, streams.STREAM_RETAINED_BYTES
    if (address := storage.redis_address()) is None:
        return MemoryStreamLog(retention=retention, retained_bytes=retained_bytes)
    redis = await asyncio.to_thread(import_module, "stores.streams.shared.log")
    opening = redis.open_redis_log(
        address,
        prefix=storage.REDIS_PREFIX,
        lease=streams.STREAM_LEASE,
        insecure=storage.ALLOW_OPEN_REDIS,
        retention=retention,
        retained_bytes=retained_bytes,
    )
    log: StreamLog = await stack.enter_async_context(opening)
    return log


def open_supervisor(
    settings: StreamSettings,
    log: StreamLog,
    observer: Observer,
    conversations: Conversations,
    estimate: Estimate,
    stack: AsyncExitStack,
) -> Supervisor:
    """The supervisor. It ends its streams when `stack` is closed."""
    limits = {"max_events": settings.STREAM_MAX_EVENTS, "max_bytes": settings.STREAM_MAX_BYTES}
    supervisor = Supervisor(log, observer, conversations, estimate, **limits)
    if log.peers is not None:
        log.peers.listen(supervisor)
    stack.push_async_callback(supervisor.end_all, "server_draining")
    return supervisor


def open_streaming(
    settings: StreamSettings,
    log: StreamLog,
    supervisor: Supervisor,
    readers: Readers,
    door: Door,
    *,
    models: ModelService,
    answering: Grounding,
    conversations: Conversations,
    prices: Prices,
    observer: Observer,
    running: RunningStreams,
    budget: TokenBudget,
) -> StreamingService:
    """The service of streams; `door` says when no new ones are taken."""
    limits = Limits(settings.MAX_STREAMS, settings.MAX_MESSAGE_CHARS, settings.STREAM_COMMIT_DELAY)
    stopping = Stopping(log, supervisor, conversations)
    admission = Admission(limits, supervisor, door, running, budget)
    starting = Starting(
        log, admission, models, answering, answering, conversations, supervisor, stopping, prices, observer,
        commit_delay=limits.commit_delay,
    )  # fmt: skip
    return StreamingService(starting, Following(log, supervisor, readers, door), stopping)
