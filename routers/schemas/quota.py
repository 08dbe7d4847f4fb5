"""A share of what all owners use, as clients see it."""

from pydantic import Field

from domain.callers import ShareName
from routers.schemas.base import Count, ResponseModel


class QuotaOut(ResponseModel):
    """A limit of the caller's own, and how much of it is used."""

    name: ShareName
    limit: Count
    used: Count
    resets: str | None = Field(None, max_length=32, description="When all of it is free again, if time alone frees it")
