"""What was used: sums over one's own streams, and over everybody's for those who may see that."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from domain.usage import By
from routers.deps import CallerDep, UsageDep
from routers.http.guard import guarded
from routers.openapi.codes import GUARDED, USES_THE_DATABASE, responses
from routers.schemas.base import Count, Id, ResponseModel

router = APIRouter(tags=["usage"], route_class=guarded("chat"))

Day = Annotated[str | None, Query(pattern=r"^\d{4}-\d{2}-\d{2}$", max_length=10, description="As 2026-01-31, in UTC")]


class UsageRow(ResponseModel):
    """One sum. The first fields are those that were asked for."""

    day: str | None = Field(None, max_length=10)
    model: str | None = Field(None, max_length=200)
    session_id: Id | None = None
    owner: str | None = Field(None, max_length=200, description="With `everybody` only")
    streams: Count
    input_tokens: Count
    output_tokens: Count
    cached_tokens: Count
    reasoning_tokens: Count
    exact: bool = Field(description="Whether models counted all of it")
    cost: float | None = Field(None, ge=0, le=1e12, allow_inf_nan=False, description="Absent where no price was known")
    currency: str | None = Field(None, max_length=8)


class UsagePage(ResponseModel):
    """Sums. Those in different currencies stand apart."""

    items: list[UsageRow] = Field(max_length=1_000)
    next: None = None


@router.get(
    "/usage",
    summary="What was used?",
    response_model_exclude_none=True,
    responses=responses(*GUARDED, "invalid_request", *USES_THE_DATABASE),
)
async def get_usage(
    usage: UsageDep,
    caller: CallerDep,
    since: Day = None,
    until: Day = None,
    by: Annotated[list[By], Query(max_length=4, description="What to sum by")] = ["day"],  # noqa: B006 - FastAPI copies it
    everybody: Annotated[bool, Query(description="Of all callers; needs the scope `admin`")] = False,
) -> UsagePage:
    """Tokens and money, summed by day, model and session, the newest day first; a thousand sums at most."""
    rows = await usage.total(caller, since=since, until=until, by=frozenset(by), everybody=everybody)
    return UsagePage(items=[UsageRow.model_validate(row) for row in rows])
