"""What routes are handed, in one place.

The services are plain functions of the request rather than FastAPI dependencies where a stream is started: a
dependency costs each request some 20 microseconds, which is an event's worth.
"""

from typing import Annotated, TypedDict, cast

from fastapi import Depends, Request

from domain.callers import Caller
from routers.http.guard import caller_of
from services.access.api_keys import ApiKeys
from services.accounts.usage_service import UsageService
from services.chats.client_chats import ClientChats
from services.container import Services
from services.conversations.session_service import SessionService
from services.documents.collections import Shelves
from services.documents.document_service import DocumentService
from services.documents.embedding import Embedding
from services.models.model_service import ModelService
from services.streaming_service import StreamingService
from services.upkeep.drain import Drain
from services.upkeep.probes import Probes


class State(TypedDict):
    """The lifespan's state, found on every request."""

    services: Services


def services_of(request: Request) -> Services:
    """The parts that were put together at start-up."""
    return cast(Services, request.state.services)


async def get_streaming(request: Request) -> StreamingService:
    """The service of streams."""
    return services_of(request).streaming


async def get_models(request: Request) -> ModelService:
    """The service of models."""
    return services_of(request).models


async def get_drain(request: Request) -> Drain:
    """Whether, and how, the server is shutting down."""
    return services_of(request).drain


async def get_sessions(request: Request) -> SessionService:
    """The service of conversations."""
    return services_of(request).sessions


async def get_chats(request: Request) -> ClientChats:
    """The service of chats that clients name."""
    return services_of(request).chats


async def get_documents(request: Request) -> DocumentService:
    """The service of documents."""
    return services_of(request).documents


async def get_shelves(request: Request) -> Shelves:
    """The service of collections."""
    return services_of(request).shelves


async def get_embedding(request: Request) -> Embedding:
    """The embedding model."""
    return services_of(request).embedding


async def get_usage(request: Request) -> UsageService:
    """The service of accounts."""
    return services_of(request).usage


async def get_probes(request: Request) -> Probes:
    """The service of probes."""
    return services_of(request).probes


async def get_caller(request: Request) -> Caller:
    """Whose request this is."""
    return caller_of(request)


async def get_keys(request: Request) -> ApiKeys:
    """The service of API keys; only routes that are there with it ask for it."""
    return cast(ApiKeys, services_of(request).keys)


CallerDep = Annotated[Caller, Depends(get_caller)]
KeysDep = Annotated[ApiKeys, Depends(get_keys)]
SessionsDep = Annotated[SessionService, Depends(get_sessions)]
UsageDep = Annotated[UsageService, Depends(get_usage)]
DocumentsDep = Annotated[DocumentService, Depends(get_documents)]
ShelvesDep = Annotated[Shelves, Depends(get_shelves)]
EmbeddingDep = Annotated[Embedding, Depends(get_embedding)]
ChatsDep = Annotated[ClientChats, Depends(get_chats)]
StreamingDep = Annotated[StreamingService, Depends(get_streaming)]
ModelsDep = Annotated[ModelService, Depends(get_models)]
ProbesDep = Annotated[Probes, Depends(get_probes)]
DrainDep = Annotated[Drain, Depends(get_drain)]
