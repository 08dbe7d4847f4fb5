"""Vector stores: collections as OpenAI's clients know them.

The id of a vector store is its name in base64, so every name is a store, and most are empty.
"""

import base64
import binascii
from typing import Annotated, Literal

from fastapi import Path
from pydantic import Field

from domain.documents import MAX_NAME, Collection, Document, Passage
from domain.errors import StreamForgeError, error_kind
from routers.openai.objects import Bytes, UnixSeconds
from routers.schemas.base import Count, Id, LenientModel, ListOf, ResponseModel, fault_of_name
from routers.schemas.documents import MAX_COLLECTION_NAME, CollectionName

MAX_FOUND = 50
MAX_QUERIES = 8
_PREFIX = "vs_"
_STORE_ID = r"^vs_[A-Za-z0-9_-]{2,536}$"

StoreId = Annotated[str, Path(json_schema_extra={"pattern": _STORE_ID}, description="From the list of vector stores")]
StoreIdOut = Annotated[str, Field(pattern=_STORE_ID, max_length=540)]
StoreName = Annotated[str, Field(max_length=MAX_COLLECTION_NAME)]


def id_of(name: str) -> str:
    """The id of the vector store of this name."""
    return _PREFIX + base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def name_of(store_id: str) -> str:
    """The name of the vector store with this id; `not_found` if no name has it."""
    try:
        given = store_id.removeprefix(_PREFIX)
        name = base64.b64decode(given + "=" * (-len(given) % 4), b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        name = ""
    if fault_of_name(name) or len(name) > MAX_COLLECTION_NAME or id_of(name) != store_id:
        raise StreamForgeError("not_found", "No such vector store. GET /v1/vector_stores lists yours.")
    return name


class FileCounts(ResponseModel):
    """Documents by state."""

    in_progress: Count
    completed: Count
    failed: Count
    cancelled: Literal[0] = 0
    total: Count


class StoreOut(ResponseModel):
    """A collection. `created_at` is when its oldest document was uploaded, and 0 if it is empty."""

    id: StoreIdOut
    object: Literal["vector_store"] = "vector_store"
    created_at: UnixSeconds
    name: StoreName
    usage_bytes: Bytes
    file_counts: FileCounts
    status: Literal["in_progress", "completed"]
    last_active_at: UnixSeconds | None = None

    @classmethod
    def of(cls, collection: Collection) -> "StoreOut":
        """The collection in OpenAI's words."""
        ready, failed, waiting = collection.ready, collection.failed, collection.waiting
        return cls(
            id=id_of(collection.name),
            created_at=int(collection.created),
            name=collection.name,
            usage_bytes=collection.size,
            file_counts=FileCounts(in_progress=waiting, completed=ready, failed=failed, total=collection.documents),
            status="in_progress" if waiting else "completed",
            last_active_at=int(collection.updated) or None,
        )


class StoreList(ResponseModel):
    """The collections with documents in them, by name."""

    object: Literal["list"] = "list"
    data: list[StoreOut] = Field(max_length=100)
    has_more: bool
    first_id: StoreIdOut | None = None
    last_id: StoreIdOut | None = None


class StoreIn(LenientModel):
    """A vector store to create. Only its name is stored, with the files in it."""

    name: CollectionName | None = None
    file_ids: ListOf[Id] = Field([], max_length=500)
    expires_after: dict[str, object] | None = Field(None, max_length=10, description="Refused: nothing expires here")


class StoreFileIn(LenientModel):
    """A document to add to a vector store."""

    file_id: Id


class LastError(ResponseModel):
    """Why a document could not be read."""

    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str = Field(max_length=1_000)


class StoreFileOut(ResponseModel):
    """A document in a vector store."""

    id: Id
    object: Literal["vector_store.file"] = "vector_store.file"
    created_at: UnixSeconds
    vector_store_id: StoreIdOut
    usage_bytes: Bytes
    status: Literal["in_progress", "completed", "failed"]
    last_error: LastError | None = None

    @classmethod
    def of(cls, document: Document, store_id: str) -> "StoreFileOut":
        """The document in OpenAI's words."""
        states = {"ready": "completed", "failed": "failed"}
        return cls(
            id=document.id,
            created_at=int(document.created),
            vector_store_id=store_id,
            usage_bytes=document.size,
            status=states.get(document.state, "in_progress"),
            last_error=_error(document),
        )


class StoreFiles(ResponseModel):
    """The documents in a vector store, newest first."""

    object: Literal["list"] = "list"
    data: list[StoreFileOut] = Field(max_length=100)
    has_more: bool
    first_id: Id | None = None
    last_id: Id | None = None


class Ranking(LenientModel):
    """How good a passage must be. There is only one ranker."""

    score_threshold: float = Field(0.0, ge=0, le=1, allow_inf_nan=False, description="The least cosine")


QueryText = Annotated[str, Field(min_length=1, max_length=10_000)]


class SearchIn(LenientModel):
    """What to search for."""

    query: QueryText | Annotated[ListOf[QueryText], Field(min_length=1, max_length=MAX_QUERIES)]
    max_num_results: int = Field(10, ge=1, le=MAX_FOUND)
    ranking_options: Ranking | None = None
    filters: dict[str, object] | None = Field(
        None, max_length=100, description="Refused: files have no attributes here"
    )


class ContentOut(ResponseModel):
    """The text of a passage."""

    type: Literal["text"] = "text"
    text: str = Field(max_length=2**20)


class SearchResult(ResponseModel):
    """A passage. `score` is a cosine."""

    file_id: Id
    filename: str = Field(max_length=MAX_NAME)
    score: float = Field(ge=-1, le=1)
    attributes: dict[str, str] = Field({}, max_length=0)
    content: list[ContentOut] = Field(max_length=1)

    @classmethod
    def of(cls, passage: Passage) -> "SearchResult":
        """The passage in OpenAI's words."""
        return cls(
            file_id=passage.key.document_id,
            filename=passage.name,
            score=passage.score or 0.0,
            content=[ContentOut(text=passage.text)],
        )


class SearchResults(ResponseModel):
    """The nearest passages, best first."""

    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"
    search_query: list[str] = Field(max_length=MAX_QUERIES)
    data: list[SearchResult] = Field(max_length=MAX_FOUND)
    has_more: Literal[False] = False
    next_page: None = None


def _error(document: Document) -> LastError | None:
    message = document.error
    if message is None or document.code is None:
        return None
    if document.code == "document_unsupported":
        return LastError(code="unsupported_file", message=message)
    ours = error_kind(document.code).status >= 500
    return LastError(code="server_error" if ours else "invalid_file", message=message)
