"""The one place where the parts are put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module

from chains.core.llm_setup import LLMSetup
from chains.core.local.server import LocalServer
from chains.core.tracing import Tracing, TracingTarget
from config.settings import Settings
from domain.models import SIMULATED, Catalogue, ModelClocks, ModelEntry, Parameters
from services.access.api_keys import ApiKeys
from services.access.auth_service import AuthService
from services.access.rate_limits import RateLimits
from services.accounts.metering import Estimator
from services.accounts.prices import Prices
from services.accounts.usage_service import UsageService
from services.assembly.access import open_auth, open_limits
from services.assembly.answering import open_answering
from services.assembly.documents import open_library
from services.assembly.streams import open_streaming
from services.background import run_until_closed
from services.chain_service import ChainService
from services.chats.client_chats import ClientChats
from services.conversations.scribe import Choose, Scribe
from services.conversations.session_service import SessionService
from services.conversations.turns import Conversations
from services.documents.collections import Shelves
from services.documents.document_service import DocumentService
from services.documents.embedding import Embedding
from services.models import catalogue as catalogues
from services.models.model_service import ModelService
from services.observing.log_lines import LogLines
from services.observing.observer import Observers
from services.storage import Storage, check, check_chroma, check_redis
from services.streaming_service import StreamingService
from services.streams.admission import Limits
from services.streams.clocks import Clocks
from services.streams.readers import Readers
from services.streams.supervisor import Supervisor
from services.upkeep.drain import Drain
from services.upkeep.probes import Probes
from services.upkeep.recovery import Recovery
from services.upkeep.sweeper import Sweeper
from stores.sql.engine.glance import glance
from stores.streams.base import StreamLog
from stores.streams.memory import MemoryStreamLog

_FLUSH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Services:
    """What the routers may call. Without `auth` everybody is the one local caller; `keys` is there with API keys."""

    streaming: StreamingService
    sessions: SessionService
    usage: UsageService
    models: ModelService
    readers: Readers
    drain: Drain
    chats: ClientChats
    probes: Probes
    documents: DocumentService
    shelves: Shelves
    embedding: Embedding
    auth: AuthService | None = None
    limits: RateLimits | None = None
    keys: ApiKeys | None = None


def read_catalogue(settings: Settings) -> Catalogue:
    """The models of MODELS_FILE and LLM_MODEL; `CatalogueError` where they, or SUMMARY_MODEL, cannot be used."""
    catalogue = catalogues.load(
        settings.MODELS_FILE,
        catalogues.Defaults(
            model=settings.LLM_MODEL,
            base_url=settings.LLM_BASE_URL,
            parameters=Parameters(temperature=settings.LLM_TEMPERATURE, max_tokens=settings.LLM_MAX_TOKENS),
            clocks=ModelClocks(
                connect=settings.MODEL_CONNECT_TIMEOUT,
                first_token=settings.MODEL_FIRST_TOKEN_TIMEOUT,
                stalled=settings.MODEL_STALLED_AFTER,
                idle=settings.MODEL_IDLE_TIMEOUT,
                whole=settings.STREAM_MAX_SECONDS,
            ),
        ),
    )
    if settings.SUMMARY_MODEL not in (None, SIMULATED, *catalogue.entries):
        raise catalogues.CatalogueError(f"SUMMARY_MODEL {settings.SUMMARY_MODEL!r} is none of the catalogue's ids.")
    return catalogue


def check_storage(settings: Settings) -> None:
    """Refuse, with a `StorageError`, a database or a Redis that this program cannot use as it is.

    Nothing is made or changed. A Redis that is away is waited for later.
    """
    check(settings.database_url(), None if settings.DATABASE_URL else settings.database_file())
    if settings.VECTOR_STORE_TYPE == "chroma" and settings.CHROMA_URL is None:
        check_chroma(settings.chroma_folder())
    if (redis := settings.redis_address()) is not None:
        check_redis(redis)


@asynccontextmanager
async def open_services(
    settings: Settings, catalogue: Catalogue, secret: bytes | None = None
) -> AsyncIterator[Services]:
    """Open everything, in order, and close it in reverse. `secret` is what API keys are hashed with."""
    async with AsyncExitStack() as stack:
        storage = Storage(settings.database_url())
        stack.push_async_callback(storage.close)
        chains = _open_chains(settings, stack)
        models = ModelService(catalogue, chains)
        prices = Prices()
        usage = UsageService(storage, every_stream=settings.AUTH_MODE != "none")
        run_until_closed(stack, usage.run(), "usage")
        stack.push_async_callback(usage.flush, _FLUSH_SECONDS)
        observers = Observers((usage, LogLines()))
        scribe = Scribe(storage, chains, _scribes(settings, catalogue), prices, observers)
        run_until_closed(stack, scribe.run(), "scribe")
        conversations = Conversations(storage, scribe, memory_tokens=settings.MEMORY_MAX_TOKENS)
        log = await _open_log(settings, stack)
        limits = {"max_events": settings.STREAM_MAX_EVENTS, "max_bytes": settings.STREAM_MAX_BYTES}
        supervisor = Supervisor(log, observers, conversations, Estimator(catalogue, prices).spent, **limits)
        log.listen(supervisor)
        stack.push_async_callback(supervisor.end_all, "server_draining")
        readers = Readers()
        run_until_closed(stack, Sweeper(_clocks(settings, catalogue), supervisor, readers, log).run(), "sweeper")
        await _recover(settings, storage, Recovery(storage, log, supervisor, conversations), log, stack)
        auth, keys = await open_auth(settings, secret, storage, supervisor, readers, stack)
        drain = Drain(supervisor, readers, seconds=settings.DRAIN_TIMEOUT)
        drain.install()
        stack.callback(drain.uninstall)
        library = open_library(settings, storage, log, stack)
        streaming = open_streaming(
            log,
            supervisor,
            readers,
            drain,
            Limits(settings.MAX_STREAMS, settings.MAX_MESSAGE_CHARS, settings.STREAM_COMMIT_DELAY),
            models=models,
            answering=open_answering(settings, chains, prices, library.retriever),
            conversations=conversations,
            prices=prices,
            observer=observers,
        )
        sessions = SessionService(storage, streaming.stop)
        chats = ClientChats(storage, streaming)
        probes = Probes(lambda: drain.draining, heartbeat=settings.STREAM_HEARTBEAT)
        rates = await open_limits(settings, stack)
        yield Services(
            streaming, sessions, usage, models, readers, drain, chats, probes,
            library.documents, library.shelves, library.embedding, auth, rates, keys,
        )  # fmt: skip


async def _open_log(settings: Settings, stack: AsyncExitStack) -> StreamLog:
    retention, retained_bytes = settings.STREAM_RETENTION, settings.STREAM_RETAINED_BYTES
    if (address := settings.redis_address()) is None:
        return MemoryStreamLog(retention=retention, retained_bytes=retained_bytes)
    redis = await asyncio.to_thread(import_module, "stores.streams.shared.log")
    opening = redis.open_redis_log(
        address,
        prefix=settings.REDIS_PREFIX,
        lease=settings.STREAM_LEASE,
        insecure=settings.ALLOW_OPEN_REDIS,
        retention=retention,
        retained_bytes=retained_bytes,
    )
    log: StreamLog = await stack.enter_async_context(opening)
    return log


async def _recover(
    settings: Settings, storage: Storage, recovery: Recovery, log: StreamLog, stack: AsyncExitStack
) -> None:
    """Look after answers that earlier processes, or others, did not finish."""
    file = None if settings.DATABASE_URL else await asyncio.to_thread(glance, settings.database_file())
    if file is not None and file.outdated:
        await storage.open()  # which brings it up to date
    if not log.shared and (file is None or file.pending):
        await recovery.at_start()
    if file is not None and file.documents:
        await storage.open()  # the ingestion looks at it as soon as it is open
    run_until_closed(stack, recovery.run(), "recovery")


def _open_chains(settings: Settings, stack: AsyncExitStack) -> ChainService:
    local = LocalServer()
    stack.push_async_callback(local.close)
    llms = LLMSetup(settings.provider_keys(), settings.provider_proxy(), local, Tracing(_tracing(settings)))
    stack.push_async_callback(llms.close)
    return ChainService(llms)


def _tracing(settings: Settings) -> TracingTarget | None:
    if not settings.LANGSMITH_TRACING:
        return None
    key = settings.LANGSMITH_API_KEY.get_secret_value() if settings.LANGSMITH_API_KEY else None
    return TracingTarget(settings.LANGSMITH_ENDPOINT, key, settings.LANGSMITH_PROJECT)


def _clocks(settings: Settings, catalogue: Catalogue) -> Clocks:
    return Clocks.of(
        heartbeat=settings.STREAM_HEARTBEAT,
        send=settings.STREAM_SEND_TIMEOUT,
        orphan=settings.STREAM_ORPHAN_TIMEOUT,
        whole=min(entry.clocks.whole for entry in catalogue.entries.values()),
    )


def _scribes(settings: Settings, catalogue: Catalogue) -> Choose:
    """Who writes titles and summaries: the model of SUMMARY_MODEL, by default the one that answers."""

    def choose(model_id: str) -> ModelEntry | None:
        return catalogue.entries.get(settings.SUMMARY_MODEL or model_id)

    return choose
