"""Documents and collections as JSON."""

from typing import Annotated

from pydantic import Field

from domain.documents import MAX_COLLECTIONS, MAX_NAME, DocumentState
from routers.schemas.base import Count, Id, IsName, ListOf, Moment, NextCursor, RequestModel, ResponseModel
from services.documents.document_service import Received

MAX_COLLECTION_NAME = 100
MAX_FILES = 20

CollectionName = Annotated[str, Field(min_length=1, max_length=MAX_COLLECTION_NAME), IsName]


class TextIn(RequestModel):
    """A document, written in the request itself."""

    text: str = Field(min_length=1, max_length=10_000_000)
    name: str = Field("text.txt", min_length=1, max_length=MAX_NAME)
    collections: ListOf[CollectionName] = Field([], max_length=MAX_COLLECTIONS)


class DocumentOut(ResponseModel):
    """A document. What is not known yet is absent."""

    id: Id
    name: str = Field(max_length=MAX_NAME)
    state: DocumentState
    size: int = Field(ge=0, le=2**40, description="Bytes")
    created: Moment
    updated: Moment
    collections: list[CollectionName] = Field(max_length=MAX_COLLECTIONS)
    media_type: str | None = Field(None, max_length=200, description="What the content is, whatever its name says")
    title: str | None = Field(None, max_length=1_000)
    pages: int | None = Field(None, ge=0, le=2**31)
    chunks: int | None = Field(None, ge=0, le=2**31, description="Pieces in the index")
    code: str | None = Field(None, max_length=100, description="Why it failed")
    error: str | None = Field(None, max_length=1_000, description="The same in a sentence")
    known: bool | None = Field(None, description="In response to an upload: you had sent the same bytes before")

    @classmethod
    def received(cls, received: Received) -> "DocumentOut":
        """The document as the response to its upload shows it."""
        return cls.model_validate(received.document).model_copy(update={"known": received.known})


class DocumentPage(ResponseModel):
    """Documents, newest first."""

    items: list[DocumentOut] = Field(max_length=200)
    next: NextCursor = None


class Uploaded(ResponseModel):
    """The documents of an upload, in the order of its files."""

    items: list[DocumentOut] = Field(max_length=MAX_FILES)


class CollectionOut(ResponseModel):
    """A collection, and how many documents are in it."""

    name: str = Field(max_length=MAX_COLLECTION_NAME)
    documents: Count


class CollectionList(ResponseModel):
    """Your collections by name."""

    items: list[CollectionOut] = Field(max_length=1_000)
