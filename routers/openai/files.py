"""OpenAI's files, which are documents here."""

from typing import Annotated, get_args

from fastapi import APIRouter, Query, Request, Response
from starlette.datastructures import UploadFile

from domain.documents import Document
from domain.errors import StreamForgeError
from routers.deps import CallerDep, DocumentsDep, caller_of, services_of
from routers.http.guard import guarded
from routers.http.uploads import MAX_FIELDS, download, filename_of, form_of
from routers.openai.errors import OPENAI_ERROR
from routers.openai.objects import After, Deleted, FileId, FileOut, Files, Lists, NewestFirst, Purpose
from routers.openapi.codes import FINDS_A_DOCUMENT, GUARDED, LISTS_PAGES, MAY_HAVE_A_BODY, TAKES_DOCUMENTS, responses

router = APIRouter(prefix="/v1/files", tags=["OpenAI"], route_class=guarded("documents"))

_FORM = {
    "type": "object",
    "required": ["file", "purpose"],
    "maxProperties": MAX_FIELDS + 1,
    "properties": {
        "file": {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "format": "binary",
            "maxLength": 2**30,
        },
        "purpose": {"type": "string", "enum": list(get_args(Purpose))},
    },
}


@router.post(
    "",
    summary="Upload a file",
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
    responses=responses(*GUARDED, *TAKES_DOCUMENTS, "unsupported_parameter", shape=OPENAI_ERROR),
    response_model=FileOut,
)
async def upload_file(request: Request) -> FileOut:
    """Takes a document. The same bytes again are the same file; if it had failed, it is read again."""
    documents, caller = services_of(request).documents, caller_of(request)
    documents.require()
    async with form_of(request, files=1) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise StreamForgeError("invalid_request", "Send one `file`, with a filename.", pointer="#/file")
        if form.get("purpose") not in get_args(Purpose):
            detail = "The purpose of files is `assistants` or `user_data` here."
            raise StreamForgeError("invalid_request", detail, pointer="#/purpose")
        if any(name.startswith("expires_after") for name in form):
            detail = "Files do not expire here. Leave it out, and delete the file."
            raise StreamForgeError("unsupported_parameter", detail, pointer="#/expires_after")
        received = await documents.add(caller, filename_of(file), await file.read(), [])
    return FileOut.of(received.document)


@router.get(
    "",
    summary="List files",
    dependencies=[Lists],
    responses=responses(*GUARDED, *FINDS_A_DOCUMENT, *LISTS_PAGES, "unsupported_parameter", shape=OPENAI_ERROR),
)
async def list_files(
    documents: DocumentsDep,
    caller: CallerDep,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="A page has a thousand at most")] = 1_000,
    _order: NewestFirst = "desc",
    purpose: Annotated[str | None, Query(max_length=100)] = None,
) -> Files:
    """Your files, newest first."""
    if purpose is not None and purpose not in get_args(Purpose):
        return Files.of([], more=False)
    cursor = None if after is None else cursor_of(await documents.get(caller, after))
    page = await documents.page(caller, None, cursor, min(limit, 1_000))
    return Files.of(page.items, more=page.next is not None)


@router.get("/{file_id}", summary="Get a file", responses=responses(*GUARDED, *FINDS_A_DOCUMENT, shape=OPENAI_ERROR))
async def get_file(file_id: FileId, documents: DocumentsDep, caller: CallerDep) -> FileOut:
    """The file. It is `processed` once answers can be based on it."""
    return FileOut.of(await documents.get(caller, file_id))


@router.get(
    "/{file_id}/content",
    summary="Download a file",
    response_class=Response,
    responses={
        **responses(*GUARDED, *FINDS_A_DOCUMENT, shape=OPENAI_ERROR),
        200: {"description": "The bytes as they were uploaded", "content": {"application/octet-stream": {}}},
    },
)
async def download_file(file_id: FileId, documents: DocumentsDep, caller: CallerDep) -> Response:
    """The file as it was uploaded."""
    return download(*await documents.content(caller, file_id))


@router.delete(
    "/{file_id}",
    summary="Delete a file",
    responses=responses(*GUARDED, *FINDS_A_DOCUMENT, *MAY_HAVE_A_BODY, "provider_not_configured", shape=OPENAI_ERROR),
)
async def delete_file(file_id: FileId, documents: DocumentsDep, caller: CallerDep) -> Deleted:
    """Deletes the document and everything that was made of it, in every vector store."""
    await documents.delete(caller, file_id)
    return Deleted(id=file_id, object="file")


def cursor_of(document: Document) -> str:
    """The cursor of the page that begins after this document."""
    return f"{document.created!r}-{document.id}"
