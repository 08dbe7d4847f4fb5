"""What all of OpenAI's lists have, and files: documents, with the same ids, as OpenAI's clients know them."""

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol

from fastapi import Depends, Path, Query, Request
from pydantic import Field

from domain.documents import MAX_NAME, Document
from domain.errors import StreamForgeError
from routers.schemas.base import Id, ResponseModel

Purpose = Literal["assistants", "user_data"]
UnixSeconds = Annotated[int, Field(ge=0, le=2**53)]
Bytes = Annotated[int, Field(ge=0, le=2**53)]

FileId = Annotated[str, Path(json_schema_extra={"pattern": "^[0-9a-f]{32}$"}, description="From the upload")]
After = Annotated[str | None, Query(max_length=600, description="The id of the last one on the page before")]
NewestFirst = Annotated[Literal["desc"], Query(alias="order", description="Newest first; there is no other order")]


async def refuse_what_lists_lack(request: Request) -> None:
    """Refuse parameters that would change the list if they were not ignored."""
    for name in ("before", "filter"):
        if name in request.query_params:
            raise StreamForgeError("unsupported_parameter", f"Lists do not take `{name}` here. Use `after`.")


Lists = Depends(refuse_what_lists_lack)


class _Named(Protocol):
    @property
    def id(self) -> str: ...


def ends(data: Sequence[_Named]) -> tuple[str | None, str | None]:
    """The ids of a page's first and last entry, which all of OpenAI's lists have."""
    return (data[0].id, data[-1].id) if data else (None, None)


class FileOut(ResponseModel):
    """A document. `purpose` is not stored: it is always the same."""

    id: Id
    object: Literal["file"] = "file"
    bytes: Bytes
    created_at: UnixSeconds
    filename: str = Field(max_length=MAX_NAME)
    purpose: Purpose = "assistants"
    status: Literal["uploaded", "processed", "error"] = Field(description="`uploaded` while it is being read")
    status_details: str | None = Field(None, max_length=1_000, description="Why it failed")

    @classmethod
    def of(cls, document: Document) -> "FileOut":
        """The document in OpenAI's words."""
        states = {"ready": "processed", "failed": "error"}
        return cls(
            id=document.id,
            bytes=document.size,
            created_at=int(document.created),
            filename=document.name,
            status=states.get(document.state, "uploaded"),
            status_details=document.error,
        )


class Files(ResponseModel):
    """Documents, newest first."""

    object: Literal["list"] = "list"
    data: list[FileOut] = Field(max_length=1_000)
    has_more: bool
    first_id: Id | None = None
    last_id: Id | None = None

    @classmethod
    def of(cls, documents: list[Document], *, more: bool) -> "Files":
        """The page in OpenAI's words."""
        data = [FileOut.of(document) for document in documents]
        first, last = ends(data)
        return cls(data=data, has_more=more, first_id=first, last_id=last)


class Deleted(ResponseModel):
    """What was deleted. Of a `vector_store` or `vector_store.file` the documents stay."""

    id: str = Field(max_length=540)
    object: Literal["file", "vector_store.deleted", "vector_store.file.deleted"]
    deleted: Literal[True] = True
