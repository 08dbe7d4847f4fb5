"""Messages as JSON, one by one and in pages."""

from pydantic import Field

from domain.messages import MAX_CLIENT_ID, MAX_TITLE, Found, Message, MessageState, Role
from routers.schemas.base import MAX_PAGE, Id, Milliseconds, Moment, NextCursor, ResponseModel
from routers.schemas.stream_state import AttemptOut, CostOut, UsageOut

MAX_SIBLINGS = 1_000


class SourceOut(ResponseModel):
    """A passage that an answer was based on, as it was then: it stays when its document is deleted."""

    number: int = Field(ge=1, le=1_000, description="`[1]` in the text refers to number 1")
    id: str = Field(max_length=100, description="The piece of the document")
    document_id: Id
    title: str = Field(max_length=1_000)
    page: int | None = Field(None, ge=0, le=2**31)
    heading: str | None = Field(None, max_length=10_000)
    score: float | None = Field(None, ge=-1, le=1, description="The cosine")
    text: str = Field(max_length=2**20)
    cited: bool = Field(description="Whether the answer refers to it")


class MessageOut(ResponseModel):
    """A message. Absent fields have no value; those from `stream_id` on are only an answer's."""

    id: Id
    parent_id: Id | None = None
    role: Role
    state: MessageState
    text: str = Field(max_length=2**30)
    created: Moment
    client_id: str | None = Field(None, max_length=MAX_CLIENT_ID)
    siblings: list[Id] | None = Field(
        None,
        max_length=MAX_SIBLINGS,
        description="The versions of this message in order, if there are several: the newest thousand",
    )
    stream_id: Id | None = None
    model: str | None = Field(None, max_length=200)
    finish_reason: str | None = Field(None, max_length=50)
    code: str | None = Field(None, max_length=100, description="Why it is not complete")
    usage: UsageOut | None = None
    cost: CostOut | None = None
    attempts: list[AttemptOut] | None = Field(None, max_length=1_000)
    first_word_ms: Milliseconds | None = None
    total_ms: Milliseconds | None = None
    sources: list[SourceOut] | None = Field(
        None, max_length=1_000, description="The passages it is based on; empty if nothing was found in the documents"
    )

    @classmethod
    def of(cls, message: Message) -> "MessageOut":
        """The message as JSON has it: `spent` in its parts, the newest siblings."""
        spent = dict(message.spent or {})
        return cls(
            id=message.id,
            parent_id=message.parent_id,
            role=message.role,
            state=message.state,
            text=message.text,
            created=message.created,
            client_id=message.client_id,
            siblings=list(message.siblings[-MAX_SIBLINGS:]) or None,
            stream_id=message.stream_id,
            model=message.model,
            finish_reason=message.finish_reason,
            code=message.code,
            usage=spent.get("usage"),
            cost=spent.get("cost"),
            attempts=spent.get("attempts"),
            first_word_ms=message.first_word_ms,
            total_ms=message.total_ms,
            sources=message.sources,
        )


class MessagePage(ResponseModel):
    """Messages, oldest first."""

    items: list[MessageOut] = Field(max_length=MAX_PAGE)
    next: NextCursor = None


class FoundOut(ResponseModel):
    """A message that contains the words."""

    session_id: Id
    session_title: str | None = Field(None, max_length=MAX_TITLE)
    message_id: Id
    role: Role
    created: Moment
    snippet: str = Field(max_length=1_000, description="The text around the first of the words")

    @classmethod
    def of(cls, found: Found) -> "FoundOut":
        """What was found, and the session it is in."""
        message = found.message
        return cls(
            session_id=message.session_id,
            session_title=found.title,
            message_id=message.id,
            role=message.role,
            created=message.created,
            snippet=found.snippet,
        )


class FoundPage(ResponseModel):
    """Messages that were found, newest first."""

    items: list[FoundOut] = Field(max_length=MAX_PAGE)
    next: NextCursor = None
    incomplete: bool = Field(
        False, description="The search took too long: these are those found so far, and `next` goes on from there"
    )
