"""The one place where the rooms are opened, in order, and the parts of one handed to the next."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from config.settings import Settings
from domain.catalogue import Catalogue
from services.access.api_keys import ApiKeys
from services.access.auth_service import AuthService
from services.access.rate_limits import RateLimits
from services.access.running import RunningStreams
from services.access.searches import Searches
from services.access.shares import Shares
from services.accounts.metering import Estimator
from services.accounts.prices import Prices
from services.accounts.usage_service import UsageService
from services.assembly.access import open_auth, open_limits
from services.assembly.accounts import open_budget, open_usage
from services.assembly.answering import open_answering
from services.assembly.conversations import check_summary_model, open_conversations
from services.assembly.documents import open_library
from services.assembly.models import load_catalogue, open_chains
from services.assembly.storage import check_chroma, check_database, check_redis, open_storage
from services.assembly.streams import open_log, open_streaming, open_supervisor
from services.assembly.upkeep import open_drain, start_recovery, start_sweeper
from services.chats.client_chats import ClientChats
from services.conversations.session_service import SessionService
from services.documents.collection_service import CollectionService
from services.documents.document_service import DocumentService
from services.documents.embedding import Embedding
from services.models.model_service import ModelService
from services.observing.log_lines import LogLines
from services.observing.observer import Observers
from services.storage import Storage
from services.streaming_service import StreamingService
from services.streams.elsewhere import Keeper
from services.streams.readers import Readers
from services.streams.supervisor import Supervisor
from services.upkeep.drain import Drain
from services.upkeep.probes import Probes
from services.upkeep.recovery import Recovery
from stores.streams.base import StreamLog

MakeRecovery = Callable[[Storage, StreamLog, Supervisor, Keeper], Recovery]


@dataclass(frozen=True, slots=True)
class Services:
    """What the routers may call. Without `auth` every caller is the local one; `keys` exists if there are API keys."""

    streaming: StreamingService
    sessions: SessionService
    usage: UsageService
    models: ModelService
    readers: Readers
    drain: Drain
    chats: ClientChats
    probes: Probes
    documents: DocumentService
    collections: CollectionService
    embedding: Embedding
    shares: Shares
    auth: AuthService | None = None
    limits: RateLimits | None = None
    keys: ApiKeys | None = None


def read_catalogue(settings: Settings) -> Catalogue:
    """The models of MODELS_FILE and LLM_MODEL; raises `CatalogueError` if they, or SUMMARY_MODEL, cannot be used."""
    catalogue = load_catalogue(settings, whole=settings.STREAM_MAX_SECONDS)
    check_summary_model(settings, catalogue)
    return catalogue


def check_storage(settings: Settings) -> None:
    """Raises `StorageError` if this program cannot use what the settings name, as it is.

    Nothing is created or changed. A Redis that is away is waited for later.
    """
    check_database(settings)
    if settings.VECTOR_STORE_TYPE == "chroma" and settings.CHROMA_URL is None:
        check_chroma(settings.chroma_folder())
    check_redis(settings)


@asynccontextmanager
async def open_services(
    settings: Settings,
    catalogue: Catalogue,
    secret: bytes | None = None,
    *,
    storage: Storage | None = None,
    log: StreamLog | None = None,
    recovery: MakeRecovery = Recovery,
) -> AsyncIterator[Services]:
    """Opens everything, in order, and closes it in reverse. `secret` is what API keys are hashed with.

    The other parts take the place of those that the settings name; the caller closes them.
    """
    async with AsyncExitStack() as stack:
        if storage is None:
            storage = open_storage(settings, stack)
        chains, prices = open_chains(settings, stack), Prices()
        models = ModelService(catalogue, chains)
        limits = settings.owner_limits()
        running, searches = RunningStreams(limits.streams), Searches(limits.searches)
        budget = open_budget(limits, storage, stack, several=settings.REDIS_URL is not None)
        usage = open_usage(settings, storage, budget, stack)
        observers = Observers((usage, LogLines()))
        conversations = open_conversations(
            settings, catalogue, storage, chains, prices, observers, budget, stack, most_sessions=limits.sessions
        )
        if log is None:
            log = await open_log(stack, streams=settings, storage=settings)
        estimate = Estimator(catalogue, prices).spent
        supervisor, readers = open_supervisor(settings, log, observers, conversations, estimate, stack), Readers()
        start_sweeper(settings, catalogue, supervisor, readers, log, stack)
        await start_recovery(settings, recovery(storage, log, supervisor, conversations), storage, log, stack)
        auth, keys = await open_auth(settings, secret, storage, supervisor, readers, stack)
        drain = open_drain(settings, supervisor, readers, stack)
        chroma = settings.chroma_folder()
        library = open_library(
            storage, log, searches, limits, stack, documents=settings, models=settings, chroma_folder=chroma,
            fully_confined=settings.confines_fully(),
        )  # fmt: skip
        retriever = library.retriever
        answering = open_answering(chains, prices, retriever, streams=settings, models=settings, documents=settings)
        streaming = open_streaming(
            settings, log, supervisor, readers, drain, models=models, answering=answering,
            conversations=conversations, prices=prices, observer=observers, running=running, budget=budget,
        )  # fmt: skip
        yield Services(
            streaming=streaming,
            sessions=SessionService(storage, streaming.stop, searches, most=limits.sessions),
            usage=usage,
            models=models,
            readers=readers,
            drain=drain,
            chats=ClientChats(storage, streaming),
            probes=Probes(lambda: drain.draining, heartbeat=settings.STREAM_HEARTBEAT),
            documents=library.documents,
            collections=library.collections,
            embedding=library.embedding,
            shares=Shares(storage, limits, (running, searches, budget)),
            auth=auth,
            limits=await open_limits(stack, access=settings, storage=settings),
            keys=keys,
        )
