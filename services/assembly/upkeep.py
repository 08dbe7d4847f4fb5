"""What runs by itself: the sweeper, the recovery at the start and later, and the drain at the end."""

import asyncio
from contextlib import AsyncExitStack

from config.groups.server import ServerSettings
from config.groups.storage import StorageSettings
from config.groups.streams import StreamSettings
from domain.catalogue import Catalogue
from services.background import run_until_closed
from services.storage import Storage
from services.streams.clocks import Clocks
from services.streams.readers import Readers
from services.streams.supervisor import Supervisor
from services.upkeep.drain import Drain
from services.upkeep.recovery import Recovery
from services.upkeep.sweeper import Sweeper
from stores.sql.engine.glance import glance
from stores.streams.base import StreamLog


def start_sweeper(
    settings: StreamSettings,
    catalogue: Catalogue,
    supervisor: Supervisor,
    readers: Readers,
    log: StreamLog,
    stack: AsyncExitStack,
) -> None:
    """Sweep streams and readers until `stack` is closed."""
    clocks = Clocks.of(
        heartbeat=settings.STREAM_HEARTBEAT,
        send=settings.STREAM_SEND_TIMEOUT,
        orphan=settings.STREAM_ORPHAN_TIMEOUT,
        whole=min(entry.clocks.whole for entry in catalogue.entries.values()),
    )
    run_until_closed(stack, Sweeper(clocks, supervisor, readers, log).run(), "sweeper")


async def start_recovery(
    settings: StorageSettings, recovery: Recovery, storage: Storage, log: StreamLog, stack: AsyncExitStack
) -> None:
    """Look after answers that earlier processes, or others, did not finish; until `stack` is closed."""
    file = None if settings.DATABASE_URL else await asyncio.to_thread(glance, settings.database_file())
    if file is not None and file.outdated:
        await storage.open()  # which migrates it
    if log.peers is None and (file is None or file.pending):
        await recovery.at_start()
    if file is not None and file.documents:
        await storage.open()  # the ingestion looks at it as soon as it is open
    run_until_closed(stack, recovery.run(), "recovery")


def open_drain(settings: ServerSettings, supervisor: Supervisor, readers: Readers, stack: AsyncExitStack) -> Drain:
    """The drain, which handles signals until `stack` is closed."""
    drain = Drain(supervisor, readers, seconds=settings.DRAIN_TIMEOUT)
    drain.install()
    stack.callback(drain.uninstall)
    return drain
