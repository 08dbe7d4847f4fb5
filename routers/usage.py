"""What was used: sums over the caller's own streams and, with the scope `admin`, over all callers'."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from domain.usage import By
from routers.deps import CallerDep, SharesDep, UsageDep
from routers.http.guard import guarded
from routers.openapi.codes import GUARDED, USES_THE_DATABASE, responses
from routers.schemas.base import Count, Id, ResponseModel
from routers.schemas.quota import QuotaOut

router = APIRouter(tags=["Usage"], route_class=guarded("chat"))

Day = Annotated[str | None, Query(pattern=r"^\d{4}-\d{2}-\d{2}$", max_length=10, description="As 2026-01-31, in UTC")]


class UsageRow(ResponseModel):
    """One sum. The first four fields are there if the sums are by them."""

    day: str | None = Field(None, max_length=10)
    model: str | None = Field(None, max_length=200)
    session_id: Id | None = None
    owner: str | None = Field(None, max_length=200, description="Only with `everybody`")
    streams: Count
    input_tokens: Count
    output_tokens: Count
    cached_tokens: Count
    reasoning_tokens: Count
    exact: bool = Field(description="Whether the models counted all of the tokens")
    cost: float | None = Field(None, ge=0, le=1e12, allow_inf_nan=False, description="Absent if no price was known")
    currency: str | None = Field(None, max_length=8)


class UsagePage(ResponseModel):
    """Sums. Different currencies are never added up."""

    items: list[UsageRow] = Field(max_length=1_000)
    next: None = None
    limits: list[QuotaOut] = Field(max_length=20, description="Your own shares; what is not limited is not there")


@router.get(
    "/usage",
    summary="Get usage",
    response_model_exclude_none=True,
    responses=responses(*GUARDED, "invalid_request", *USES_THE_DATABASE),
)
async def get_usage(
    usage: UsageDep,
    shares: SharesDep,
    caller: CallerDep,
    since: Day = None,
    until: Day = None,
    by: Annotated[list[By], Query(max_length=4, description="Sums for each of these")] = ["day"],  # noqa: B006 - FastAPI copies it
    everybody: Annotated[bool, Query(description="All callers' usage; needs the scope `admin`")] = False,
) -> UsagePage:
    """Tokens and cost, summed by day, model, session or owner, the newest day first; at most a thousand sums.

    `limits` are what you may have at most, and how much of it you have now.
    """
    rows = await usage.total(caller, since=since, until=until, by=frozenset(by), everybody=everybody)
    limits = [QuotaOut.model_validate(share) for share in await shares.of(caller)]
    return UsagePage(items=[UsageRow.model_validate(row) for row in rows], limits=limits)
