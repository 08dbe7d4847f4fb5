"""Documents: upload them, follow how they are read, delete them."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from domain.callers import Caller
from domain.errors import StreamForgeError
from domain.streams import parse_event_id
from routers.deps import CallerDep, CollectionsDep, DocumentsDep, StreamingDep, caller_of, services_of
from routers.http.guard import OwnPathRoute, guarded
from routers.http.uploads import download, filename_of, form_of
from routers.openapi.codes import (
    FINDS_A_DOCUMENT,
    GUARDED,
    LISTS_PAGES,
    MAY_HAVE_A_BODY,
    READS_FROM_A_CURSOR,
    TAKES_DOCUMENTS,
    USES_THE_DATABASE,
    responses,
)
from routers.schemas.base import Limit, PageCursor
from routers.schemas.documents import (
    MAX_FILES,
    CollectionList,
    DocumentOut,
    DocumentPage,
    TextIn,
    Uploaded,
)
from routers.schemas.upload_form import UPLOAD_FORM, collections_in, files_in
from routers.streams.responses import LaterStreamResponse, StaticStreamResponse, StreamResponse
from services.documents.document_service import DocumentService
from services.upkeep.drain import Drain
from stores.streams.tail import Tail
from wires.documents import HEARTBEAT, DocumentEncoder, gone, received, settled
from wires.table import Wire

router = APIRouter(tags=["Documents"], route_class=guarded("documents"))
upload_router = APIRouter(tags=["Documents"], route_class=guarded("documents", OwnPathRoute))
"""Comes before `router`, whose paths would take `upload` for the id of a document."""

DocumentId = Annotated[str, Path(json_schema_extra={"pattern": "^[0-9a-f]{32}$"}, description="From the upload")]


@upload_router.post(
    "/documents/upload",
    summary="Upload documents",
    status_code=202,
    response_model=Uploaded,
    response_model_exclude_none=True,
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": UPLOAD_FORM}}}},
    responses=responses(*GUARDED, *TAKES_DOCUMENTS),
)
async def upload_documents(request: Request) -> Uploaded:
    """Takes files and returns their ids at once. `GET /documents/{id}/events` follows how they are read.

    The same bytes again are the same document. If it had failed, it is read again from the beginning.
    """
    documents, caller = services_of(request).documents, caller_of(request)
    documents.require()
    async with form_of(request, files=MAX_FILES) as form:
        files, collections = files_in(form), collections_in(form)
        received = [await documents.add(caller, filename_of(each), await each.read(), collections) for each in files]
        return Uploaded(items=[DocumentOut.received(each) for each in received])


@upload_router.post(
    "/documents/text",
    summary="Add a text document",
    status_code=202,
    response_model_exclude_none=True,
    responses=responses(*GUARDED, *TAKES_DOCUMENTS),
)
async def add_text_document(new: TextIn, documents: DocumentsDep, caller: CallerDep) -> DocumentOut:
    """Takes a text as a document, as an upload takes a file."""
    content = new.text.encode("utf-8", "replace")
    received = await documents.add(caller, new.name, content, list(dict.fromkeys(new.collections)))
    return DocumentOut.received(received)


@router.get(
    "/documents",
    summary="List documents",
    response_model_exclude_none=True,
    responses=responses(*GUARDED, *LISTS_PAGES),
)
async def list_documents(
    documents: DocumentsDep,
    caller: CallerDep,
    collection: Annotated[str | None, Query(min_length=1, max_length=100)] = None,
    after: PageCursor = None,
    limit: Limit = 50,
) -> DocumentPage:
    """Your documents, newest first."""
    return DocumentPage.model_validate(await documents.page(caller, collection, after, limit))


@router.get("/collections", summary="List collections", responses=responses(*GUARDED, *USES_THE_DATABASE))
async def list_collections(collections: CollectionsDep, caller: CallerDep) -> CollectionList:
    """Your collections by name, with the number of documents in each."""
    found = await collections.page(caller, None, 1_000)
    return CollectionList.model_validate(found)


@router.get(
    "/documents/{document_id}",
    summary="Get a document",
    response_model_exclude_none=True,
    responses=responses(*GUARDED, *FINDS_A_DOCUMENT),
)
async def get_document(document_id: DocumentId, documents: DocumentsDep, caller: CallerDep) -> DocumentOut:
    """The document: its state, what is known of it, and why it failed if it did."""
    return DocumentOut.model_validate(await documents.get(caller, document_id))


@router.get(
    "/documents/{document_id}/events",
    summary="Follow a document",
    response_class=StreamingResponse,
    responses={
        **responses(*GUARDED, *FINDS_A_DOCUMENT, *READS_FROM_A_CURSOR, "log_unavailable"),
        200: {"description": "`received`, `parsing`, `splitting`, `embedding`, then `ready` or `failed`"},
    },
)
async def follow_document(
    request: Request, document_id: DocumentId, documents: DocumentsDep, streams: StreamingDep, caller: CallerDep
) -> Response:
    """How it is read, from the beginning or after `Last-Event-ID`, and then live.

    While it waits for its turn there are only `received` and heartbeats, for 20 seconds at most. If the body ends
    with neither `ready` nor `failed`, the document still waits, or is read by another process: come back, as an
    `EventSource` does by itself.
    """
    document, tail = await documents.progress(caller, document_id)
    encoder = partial(DocumentEncoder, document_id=document.id)
    wire = Wire(encoder, HEARTBEAT, stateful=False, seq_after=lambda after, _: after)
    if tail is None and (end := settled(document)):  # its log is gone
        return StaticStreamResponse(received(document) + end, document.id)
    if tail is None:
        look = partial(_look, documents, caller, document_id, services_of(request).drain)
        return LaterStreamResponse(streams, wire, received(document), document.id, look)
    cursor = request.headers.get("last-event-id")
    seq = parse_event_id(cursor).seq if cursor is not None and cursor.startswith(tail.info.id) else 0
    if seq > len(tail.events):
        raise StreamForgeError("cursor_ahead")
    return StreamResponse(streams, tail, wire, seq)


@router.get(
    "/documents/{document_id}/content",
    summary="Download a document",
    response_class=Response,
    responses={
        **responses(*GUARDED, *FINDS_A_DOCUMENT),
        200: {"description": "The bytes as they were uploaded", "content": {"application/octet-stream": {}}},
    },
)
async def download_document(document_id: DocumentId, documents: DocumentsDep, caller: CallerDep) -> Response:
    """The file as it was uploaded, as an attachment."""
    return download(*await documents.content(caller, document_id))


@router.delete(
    "/documents/{document_id}",
    summary="Delete a document",
    status_code=204,
    responses=responses(*GUARDED, *FINDS_A_DOCUMENT, *MAY_HAVE_A_BODY, "provider_not_configured"),
)
async def delete_document(document_id: DocumentId, documents: DocumentsDep, caller: CallerDep) -> Response:
    """Deletes the document, its pieces and everything that was made of them."""
    await documents.delete(caller, document_id)
    return Response(status_code=204)


async def _look(documents: DocumentService, caller: Caller, document_id: str, drain: Drain) -> Tail | bytes | None:
    """What became of a document that waited: its log, or its last event, or nothing yet."""
    try:
        document, tail = await documents.progress(caller, document_id)
    except StreamForgeError as error:
        return gone(document_id) if error.code == "document_not_found" else b""
    return tail or settled(document) or (b"" if drain.draining else None)
