"""The one place where the parts are put together."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from chains.core.llm_setup import LLMDefaults, LLMSetup, ModelName
from chains.core.local_server import LocalServer
from config.settings import Settings
from services.chain_service import ChainService
from services.clocks import Clocks
from services.drain import Drain
from services.readers import Readers
from services.streaming_service import StreamingService
from services.supervisor import Supervisor
from services.sweeper import Sweeper
from stores.streams.memory import MemoryStreamLog


@dataclass(frozen=True, slots=True)
class Services:
    """What the routers may call."""

    streaming: StreamingService
    readers: Readers
    drain: Drain


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open everything, in order, and close it in reverse."""
    async with AsyncExitStack() as stack:
        chains = _open_chains(settings, stack)
        log = MemoryStreamLog(retention=settings.STREAM_RETENTION, retained_bytes=settings.STREAM_RETAINED_BYTES)
        supervisor = Supervisor(log, max_events=settings.STREAM_MAX_EVENTS, max_bytes=settings.STREAM_MAX_BYTES)
        stack.push_async_callback(supervisor.end_all, "server_draining")
        readers = Readers()
        sweeper = asyncio.create_task(Sweeper(_clocks(settings), supervisor, readers, log).run(), name="sweeper")
        stack.push_async_callback(_stop, sweeper)
        drain = Drain(supervisor, readers, seconds=settings.DRAIN_TIMEOUT)
        drain.install()
        stack.callback(drain.uninstall)
        streaming = StreamingService(
            simulated_text=settings.SIMULATED_TEXT,
            delay=settings.STREAM_DELAY,
            max_streams=settings.MAX_STREAMS,
            max_message_chars=settings.MAX_MESSAGE_CHARS,
            log=log,
            supervisor=supervisor,
            readers=readers,
            chains=chains,
            drain=drain,
        )
        yield Services(streaming, readers, drain)


def _open_chains(settings: Settings, stack: AsyncExitStack) -> ChainService:
    local = LocalServer()
    stack.push_async_callback(local.close)
    key = settings.OPENAI_API_KEY
    name = ModelName.parse(settings.LLM_MODEL, settings.LLM_BASE_URL)
    defaults = LLMDefaults(
        model=name.model if name else None,
        base_url=settings.LLM_BASE_URL,
        api_key=key.get_secret_value() if key else None,
        temperature=settings.LLM_TEMPERATURE,
        max_tokens=settings.LLM_MAX_TOKENS,
        seconds=settings.STREAM_MAX_SECONDS,
    )
    llms = LLMSetup(defaults, local)
    stack.push_async_callback(llms.close)
    return ChainService(llms, name)


def _clocks(settings: Settings) -> Clocks:
    return Clocks.of(
        heartbeat=settings.STREAM_HEARTBEAT,
        send=settings.STREAM_SEND_TIMEOUT,
        orphan=settings.STREAM_ORPHAN_TIMEOUT,
        whole=settings.STREAM_MAX_SECONDS,
    )


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
