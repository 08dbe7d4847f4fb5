"""The one place where the parts are put together."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from chains.core.llm_setup import LLMSetup
from chains.core.local_server import LocalServer
from chains.core.tracing import Tracing, TracingTarget
from config.settings import Settings
from domain.models import Catalogue, ModelClocks, Parameters
from services import catalogue as catalogues
from services.chain_service import ChainService
from services.clocks import Clocks
from services.cooling import Cooling
from services.drain import Drain
from services.failover import RetryPolicy
from services.model_service import ModelService
from services.readers import Readers
from services.streaming_service import Limits, StreamingService
from services.supervisor import Supervisor
from services.sweeper import Sweeper
from services.usage_service import UsageService
from stores.streams.memory import MemoryStreamLog


@dataclass(frozen=True, slots=True)
class Services:
    """What the routers may call."""

    streaming: StreamingService
    models: ModelService
    readers: Readers
    drain: Drain


def read_catalogue(settings: Settings) -> Catalogue:
    """The models of MODELS_FILE and LLM_MODEL; `CatalogueError` where they cannot be used."""
    return catalogues.load(
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


@asynccontextmanager
async def open_services(settings: Settings, catalogue: Catalogue) -> AsyncIterator[Services]:
    """Open everything, in order, and close it in reverse."""
    async with AsyncExitStack() as stack:
        chains = _open_chains(settings, stack)
        models = ModelService(catalogue, chains)
        log = MemoryStreamLog(retention=settings.STREAM_RETENTION, retained_bytes=settings.STREAM_RETAINED_BYTES)
        limits = {"max_events": settings.STREAM_MAX_EVENTS, "max_bytes": settings.STREAM_MAX_BYTES}
        supervisor = Supervisor(log, UsageService(), **limits)
        stack.push_async_callback(supervisor.end_all, "server_draining")
        readers = Readers()
        sweeper = Sweeper(_clocks(settings, catalogue), supervisor, readers, log)
        stack.push_async_callback(_stop, asyncio.create_task(sweeper.run(), name="sweeper"))
        drain = Drain(supervisor, readers, seconds=settings.DRAIN_TIMEOUT)
        drain.install()
        stack.callback(drain.uninstall)
        streaming = StreamingService(
            simulated_text=settings.SIMULATED_TEXT,
            delay=settings.STREAM_DELAY,
            limits=Limits(settings.MAX_STREAMS, settings.MAX_MESSAGE_CHARS, settings.STREAM_COMMIT_DELAY),
            policy=_policy(settings),
            cooling=Cooling(settings.MODEL_COOLING, asyncio.get_running_loop().time),
            log=log,
            supervisor=supervisor,
            readers=readers,
            models=models,
            chains=chains,
            drain=drain,
        )
        yield Services(streaming, models, readers, drain)


def _open_chains(settings: Settings, stack: AsyncExitStack) -> ChainService:
    local = LocalServer()
    stack.push_async_callback(local.close)
    keys = {name: key.get_secret_value() for name, key in settings.PROVIDER_KEYS.items()}
    if settings.OPENAI_API_KEY is not None:
        keys["openai"] = settings.OPENAI_API_KEY.get_secret_value()
    proxy = settings.PROVIDER_PROXY.get_secret_value() if settings.PROVIDER_PROXY else None
    llms = LLMSetup(keys, proxy, local, Tracing(_tracing(settings)))
    stack.push_async_callback(llms.close)
    return ChainService(llms)


def _tracing(settings: Settings) -> TracingTarget | None:
    if not settings.LANGSMITH_TRACING:
        return None
    key = settings.LANGSMITH_API_KEY.get_secret_value() if settings.LANGSMITH_API_KEY else None
    return TracingTarget(settings.LANGSMITH_ENDPOINT, key, settings.LANGSMITH_PROJECT)


def _policy(settings: Settings) -> RetryPolicy:
    return RetryPolicy(
        retries=settings.MODEL_RETRIES,
        backoff=settings.MODEL_RETRY_BACKOFF,
        longest=settings.MODEL_RETRY_AFTER_MAX,
        budget=settings.MODEL_BUDGET,
    )


def _clocks(settings: Settings, catalogue: Catalogue) -> Clocks:
    return Clocks.of(
        heartbeat=settings.STREAM_HEARTBEAT,
        send=settings.STREAM_SEND_TIMEOUT,
        orphan=settings.STREAM_ORPHAN_TIMEOUT,
        whole=min(entry.clocks.whole for entry in catalogue.entries.values()),
    )


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
