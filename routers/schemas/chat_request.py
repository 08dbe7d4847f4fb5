"""The request of `POST /chat`: a message, how and where to answer it, and from which documents."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, field_validator

from domain.documents import MAX_COLLECTIONS, Retrieval
from domain.errors import StreamForgeError
from domain.models import Parameters
from domain.streams import Ask, OnBusy, OnDisconnect, Place
from domain.text import writable
from routers.schemas.base import ClientId, Id, ListOf, RequestModel, StopText

_NO_PARAMETERS = {"message", "model", "on_disconnect", "session_id", "new_session", "client_id", "on_busy", "documents"}


class RetrievalIn(RequestModel):
    """Where to look for the answer."""

    collections: ListOf[Annotated[str, Field(min_length=1, max_length=100)]] | None = Field(
        None, max_length=MAX_COLLECTIONS, description="In these collections of yours; by default in all documents"
    )
    ids: ListOf[Id] | None = Field(None, max_length=100, description="In these documents")
    top_k: int | None = Field(None, ge=1, le=50, description="The most passages; the server has a default")
    min_score: float | None = Field(
        None, ge=-1, le=1, allow_inf_nan=False, description="The least cosine of a passage; the server has a default"
    )

    def retrieval(self) -> Retrieval:
        """The domain's value."""
        collections = tuple(self.collections) if self.collections is not None else None
        ids = tuple(self.ids) if self.ids is not None else None
        return Retrieval(collections, ids, self.top_k, self.min_score)


class ChatRequest(RequestModel):
    """A message to answer."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"message": "Tell me about streaming"}]})

    message: str | None = Field(
        None,
        min_length=1,
        max_length=10_000_000,
        description="Not blank; `MAX_MESSAGE_CHARS` at most. Needed, except with `regenerate`",
    )
    model: str | None = Field(None, min_length=1, max_length=200, description="An id of `GET /models`")
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False, description="How random the answer is")
    max_tokens: int | None = Field(None, ge=1, le=100_000_000, description="The most tokens of the answer")
    top_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False, description="Nucleus sampling")
    stop: ListOf[StopText] | None = Field(None, min_length=1, max_length=4, description="The answer ends before these")
    seed: int | None = Field(None, ge=0, le=2**31 - 1, description="The same seed mostly gives the same answer")
    system: str | None = Field(
        None, min_length=1, max_length=10_000_000, description="Instructions to the model; at most as long as a message"
    )
    documents: RetrievalIn | Literal[False] | None = Field(
        None, description="Answer from your documents, with sources: `{}` for all of them; `false` for none"
    )
    session_id: Id | None = Field(None, description="The session to answer in; the model is given its messages")
    new_session: bool = Field(False, description="Create a session; its id is in `start` and in `X-Session-Id`")
    edit: Id | None = Field(None, description="Your message in the session that this one replaces, on a new branch")
    regenerate: Id | None = Field(
        None, description="An answer in the session to give again, or the message to answer again"
    )
    client_id: ClientId | None = Field(None, description="Your own id for this message, in the session")
    on_busy: OnBusy = Field(
        "reject", description="If an answer is running in the session: `reject` is 409, `cancel_previous` stops it"
    )
    on_disconnect: OnDisconnect = Field(
        "detach",
        description="When the last reader leaves: `detach` lets the answer continue, `cancel` stops it",
    )

    @field_validator("message")
    @classmethod
    def _not_blank(cls, text: str | None) -> str | None:
        if text is not None and not text.strip():
            raise ValueError("This is blank. Write something.")
        return text

    def ask(self) -> Ask:
        """What the model is asked."""
        message = writable(self.message or "")
        if self.model_fields_set <= _NO_PARAMETERS:  # nearly every request
            return Ask(message)
        stop = tuple(self.stop) if self.stop is not None else None
        return Ask(message, Parameters(self.temperature, self.max_tokens, self.top_p, stop, self.seed, self.system))

    def place(self, session_id: str | None) -> Place | None:
        """Where the answer belongs; `session_id` is the query's. `invalid_request` if fields do not fit together."""
        named = self.session_id or session_id
        again = self.regenerate is not None
        for wrong, field, detail in (
            (self.message is None and not again, "message", "Field required, except with `regenerate`."),
            (
                self.message is not None and again,
                "regenerate",
                "This answers an earlier message again. Send no `message`.",
            ),
            (self.edit is not None and again, "edit", "This is for a new message, `regenerate` for an old one."),
            (
                self.client_id is not None and again,
                "client_id",
                "This names a new message, and with `regenerate` there is none.",
            ),
            (session_id not in (None, named), "session_id", "The query names another session than the body."),
            (self.new_session and named is not None, "new_session", "This creates a session; `session_id` names one."),
            (self.edit is not None and named is None, "edit", "This needs a `session_id`."),
            (again and named is None, "regenerate", "This needs a `session_id`."),
        ):
            if wrong:
                raise _wrong(field, detail)
        if named is not None or self.new_session:
            return Place(named, self.new_session, self.edit, self.regenerate, self.client_id, self.on_busy)
        if self.client_id is not None:
            raise _wrong("client_id", "This needs a session: send `session_id`, or `new_session`.")
        return None


def _wrong(field: str, detail: str) -> StreamForgeError:
    return StreamForgeError("invalid_request", detail, pointer=f"#/{field}")
