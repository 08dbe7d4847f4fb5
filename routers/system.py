"""What the server says about itself."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from routers.deps import DrainDep
from routers.openapi.codes import PUBLIC, responses
from routers.schemas.base import ResponseModel

public = APIRouter(tags=["Server"], responses=responses(*PUBLIC))

ShortText = Annotated[str, Field(max_length=200)]


class Endpoints(ResponseModel):
    """Where to go from here."""

    chat: ShortText = "/chat"
    health: ShortText = "/chat/health"
    docs: ShortText | None = Field("/docs", description="`null` if the server does not show them")
    openapi: ShortText = "/openapi.json"


class ApiInfo(ResponseModel):
    """The response of `GET /`."""

    name: ShortText
    version: ShortText
    status: ShortText = "running"
    endpoints: Endpoints = Endpoints()


class Health(ResponseModel):
    """The response of `GET /health`."""

    status: ShortText = "healthy"
    service: ShortText
    version: ShortText


class Readiness(ResponseModel):
    """The response of `GET /ready`: `ready`, or `draining` with status 503."""

    status: ShortText


@public.get("/", summary="Get API information")
async def get_api_information(request: Request) -> ApiInfo:
    """Name, version and the first endpoints."""
    app = request.app
    return ApiInfo(name=app.title, version=app.version, endpoints=Endpoints(docs=app.docs_url))


@public.get("/health", summary="Check health")
async def check_health(request: Request) -> Health:
    """Whether the process is alive: it responds."""
    return Health(service=request.app.title, version=request.app.version)


@public.get(
    "/ready",
    summary="Check readiness",
    responses={503: {"model": Readiness, "description": "Shutting down: send new streams elsewhere"}},
)
async def check_readiness(drain: DrainDep, response: Response) -> Readiness:
    """Whether to send new streams here: not from the first signal to stop, while running streams still finish."""
    if drain.draining:
        response.status_code = 503
        response.headers["retry-after"] = "5"
        return Readiness(status="draining")
    return Readiness(status="ready")
