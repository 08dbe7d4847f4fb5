"""What routes are handed: aliases, in one place."""

from typing import Annotated, TypedDict, cast

from fastapi import Depends, Request

from domain.errors import StreamForgeError
from services.container import Services
from services.drain import Drain
from services.streaming_service import StreamingService


class State(TypedDict):
    """The lifespan's state, found on every request."""

    services: Services


def get_services(request: Request) -> Services:
    """The parts that were put together at start-up."""
    return cast(Services, request.state.services)


async def get_streaming(request: Request) -> StreamingService:
    """The service of streams."""
    return get_services(request).streaming


async def get_drain(request: Request) -> Drain:
    """Whether, and how, the server is shutting down."""
    return get_services(request).drain


async def require_json(request: Request) -> None:
    """Refuse another content type, which a page of any origin could send without asking first."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise StreamForgeError("unsupported_media_type")


StreamingDep = Annotated[StreamingService, Depends(get_streaming)]
DrainDep = Annotated[Drain, Depends(get_drain)]
