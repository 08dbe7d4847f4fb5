"""What the server says of itself."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from routers.deps import DrainDep
from routers.openapi.codes import PUBLIC, responses
from routers.schemas.base import ResponseModel

public = APIRouter(tags=["system"], responses=responses(*PUBLIC))

ShortText = Annotated[str, Field(max_length=200)]


class Endpoints(ResponseModel):
    """Where to go from here."""

    chat: ShortText = "/chat"
    health: ShortText = "/chat/health"
    docs: ShortText = "/docs"
    openapi: ShortText = "/openapi.json"


class ApiInfo(ResponseModel):
    """The answer of `GET /`."""

    name: ShortText
    version: ShortText
    status: ShortText = "running"
    endpoints: Endpoints = Endpoints()


class Health(ResponseModel):
    """The answer of `GET /health`."""

    status: ShortText = "healthy"
    service: ShortText
    version: ShortText


class Readiness(ResponseModel):
    """The answer of `GET /ready`: `ready`, or `draining` with status 503."""

    status: ShortText


@public.get("/", summary="What this is, and where to go")
async def root(request: Request) -> ApiInfo:
    """Name, version and endpoints."""
    return ApiInfo(name=request.app.title, version=request.app.version)


@public.get("/health", summary="Is the process alive?")
async def health(request: Request) -> Health:
    """Healthy for as long as it answers."""
    return Health(service=request.app.title, version=request.app.version)


@public.get(
    "/ready",
    summary="Should new streams come here?",
    responses={503: {"model": Readiness, "description": "Shutting down: send new streams elsewhere"}},
)
async def ready(drain: DrainDep, response: Response) -> Readiness:
    """Red from the first signal on, while running streams still finish."""
    if drain.draining:
        response.status_code = 503
        response.headers["retry-after"] = "5"
        return Readiness(status="draining")
    return Readiness(status="ready")
