"""What was used: sums over one's own streams, and over everybody's for those who may see that."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from domain.usage import By, UsageSum
from routers.deps import CallerDep, UsageDep
from routers.http.guard import guarded, refusals
from routers.schemas.base import ResponseModel
from routers.schemas.messages import Id

router = APIRouter(tags=["usage"], route_class=guarded("chat"))

Day = Annotated[str | None, Query(pattern=r"^\d{4}-\d{2}-\d{2}$", max_length=10, description="As 2026-01-31, in UTC")]
Count = Annotated[int, Field(ge=0, le=2**53)]


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

    @classmethod
    def of(cls, row: UsageSum) -> "UsageRow":
        """The sum as it is shown."""
        return cls(
            day=row.day,
            model=row.model,
            session_id=row.session_id,
            owner=row.owner,
            streams=row.streams,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            cached_tokens=row.cached_tokens,
            reasoning_tokens=row.reasoning_tokens,
            exact=row.exact,
            cost=None if row.cost is None else float(row.cost),
            currency=row.currency,
        )


class UsagePage(ResponseModel):
    """Sums. Those in different currencies stand apart."""

    items: list[UsageRow] = Field(max_length=1_000)
    next: None = None


@router.get(
    "/usage",
    summary="What was used?",
    response_model_exclude_none=True,
    responses=refusals("invalid_request"),
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
    return UsagePage(items=[UsageRow.of(row) for row in rows])
