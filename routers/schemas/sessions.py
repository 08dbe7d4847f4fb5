"""Sessions as JSON."""

from typing import Annotated

from pydantic import Field

from domain.messages import MAX_CLIENT_ID, MAX_TITLE
from routers.schemas.base import ClientId, Id, IsName, Moment, NextCursor, RequestModel, ResponseModel

Title = Annotated[str, Field(min_length=1, max_length=MAX_TITLE), IsName]


class SessionIn(RequestModel):
    """A session to create."""

    title: Title | None = None
    client_id: ClientId | None = Field(None, description="Your own id for it; the same one again creates nothing")


class SessionChange(RequestModel):
    """What can be changed."""

    title: Title


class BranchIn(RequestModel):
    """A message of the branch to make active."""

    message_id: Id


class SessionOut(ResponseModel):
    """A session."""

    id: Id
    title: str | None = Field(None, max_length=MAX_TITLE, description="From its first exchange, unless you set one")
    created: Moment
    updated: Moment
    client_id: str | None = Field(None, max_length=MAX_CLIENT_ID)


class SessionPage(ResponseModel):
    """Sessions, the most recently used first."""

    items: list[SessionOut] = Field(max_length=200)
    next: NextCursor = None
