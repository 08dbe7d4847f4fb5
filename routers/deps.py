"""What routes are handed: the services that start-up put together, and the caller.

A route that starts a stream, the guard and the outermost layer ask `services_of` themselves: a FastAPI dependency
costs a request some 20 microseconds, as much as an event does.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict, cast

from fastapi import Depends, Request

from domain.callers import Caller
from services.access.api_keys import ApiKeys
from services.access.shares import Shares
from services.accounts.usage_service import UsageService
from services.chats.client_chats import ClientChats
from services.container import Services
from services.conversations.session_service import SessionService
from services.documents.collection_service import CollectionService
from services.documents.document_service import DocumentService
from services.documents.embedding import Embedding
from services.models.model_service import ModelService
from services.streaming_service import StreamingService
from services.upkeep.drain import Drain
from services.upkeep.probes import Probes


class AppState(TypedDict):
    """The lifespan's state, found on every request."""

    services: Services


def services_of(connection: Mapping[str, Any]) -> Services:
    """The services, from a request or from its ASGI scope."""
    return cast(Services, connection["state"]["services"])


def caller_of(request: Request) -> Caller:
    """Whose request this is. A route without a guard has no caller: asking is a `KeyError`."""
    return cast(Caller, request.scope["caller"])


def part(name: str) -> Any:
    """The dependency on one of the services, by its name in `Services`."""

    async def get(request: Request) -> Any:  # async, because FastAPI would run a plain function in a thread
        return getattr(services_of(request), name)

    return Depends(get)


async def _caller(request: Request) -> Caller:
    return caller_of(request)


CallerDep = Annotated[Caller, Depends(_caller)]
ChatsDep = Annotated[ClientChats, part("chats")]
DocumentsDep = Annotated[DocumentService, part("documents")]
DrainDep = Annotated[Drain, part("drain")]
EmbeddingDep = Annotated[Embedding, part("embedding")]
KeysDep = Annotated[ApiKeys, part("keys")]  # absent unless AUTH_MODE is api_key, and so are the routes that ask for it
ModelsDep = Annotated[ModelService, part("models")]
ProbesDep = Annotated[Probes, part("probes")]
SharesDep = Annotated[Shares, part("shares")]
SessionsDep = Annotated[SessionService, part("sessions")]
CollectionsDep = Annotated[CollectionService, part("collections")]
StreamingDep = Annotated[StreamingService, part("streaming")]
UsageDep = Annotated[UsageService, part("usage")]
