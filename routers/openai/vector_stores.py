"""OpenAI's vector stores, which are collections here, and the search in them."""

from typing import Annotated

from fastapi import APIRouter, Query

from domain.errors import StreamForgeError
from domain.messages import new_id
from routers.deps import CallerDep, CollectionsDep, DocumentsDep
from routers.http.guard import guarded
from routers.openai.errors import OPENAI_ERROR
from routers.openai.files import cursor_of
from routers.openai.objects import After, Deleted, FileId, Lists, NewestFirst, ends
from routers.openai.store_objects import (
    SearchIn,
    SearchResult,
    SearchResults,
    StoreFileIn,
    StoreFileOut,
    StoreFiles,
    StoreId,
    StoreIn,
    StoreList,
    StoreOut,
    name_of,
)
from routers.openapi.codes import (
    ASKS_A_MODEL,
    FINDS_A_DOCUMENT,
    GUARDED,
    MAY_HAVE_A_BODY,
    READS_A_BODY,
    USES_THE_DATABASE,
    responses,
)

router = APIRouter(prefix="/v1/vector_stores", tags=["OpenAI"], route_class=guarded("documents"))
read_router = APIRouter(prefix="/v1/vector_stores", tags=["OpenAI"], route_class=guarded("read"))

_FINDS_A_STORE = ("not_found", *USES_THE_DATABASE)
StoreLimit = Annotated[int, Query(ge=1, le=100)]


@router.post(
    "",
    summary="Create a vector store",
    responses=responses(*GUARDED, *READS_A_BODY, *FINDS_A_DOCUMENT, "unsupported_parameter", shape=OPENAI_ERROR),
)
async def create_vector_store(new: StoreIn, collections: CollectionsDep, caller: CallerDep) -> StoreOut:
    """Returns the collection of this name. It is stored, and listed, as long as a file is in it."""
    if new.expires_after is not None:
        detail = "Vector stores do not expire here. Leave it out, and delete the store."
        raise StreamForgeError("unsupported_parameter", detail, pointer="#/expires_after")
    name = new.name or f"unnamed-{new_id()[:12]}"
    for file_id in dict.fromkeys(new.file_ids):
        await collections.put_in(caller, name, file_id)
    return StoreOut.of(await collections.get(caller, name))


@router.get(
    "",
    summary="List vector stores",
    dependencies=[Lists],
    responses=responses(*GUARDED, *_FINDS_A_STORE, "invalid_request", "unsupported_parameter", shape=OPENAI_ERROR),
)
async def list_vector_stores(
    collections: CollectionsDep, caller: CallerDep, after: After = None, limit: StoreLimit = 20
) -> StoreList:
    """Your vector stores with a file in them, by name."""
    page = await collections.page(caller, None if after is None else name_of(after), limit)
    data = [StoreOut.of(collection) for collection in page.items]
    first, last = ends(data)
    return StoreList(data=data, has_more=page.next is not None, first_id=first, last_id=last)


@router.get(
    "/{vector_store_id}",
    summary="Get a vector store",
    responses=responses(*GUARDED, *_FINDS_A_STORE, shape=OPENAI_ERROR),
)
async def get_vector_store(vector_store_id: StoreId, collections: CollectionsDep, caller: CallerDep) -> StoreOut:
    """The collection. One whose name was never used is empty."""
    return StoreOut.of(await collections.get(caller, name_of(vector_store_id)))


@router.delete(
    "/{vector_store_id}",
    summary="Delete a vector store",
    responses=responses(*GUARDED, *_FINDS_A_STORE, *MAY_HAVE_A_BODY, shape=OPENAI_ERROR),
)
async def delete_vector_store(vector_store_id: StoreId, collections: CollectionsDep, caller: CallerDep) -> Deleted:
    """Removes all files from it, so that it is no longer listed. The files themselves stay."""
    await collections.empty(caller, name_of(vector_store_id))
    return Deleted(id=vector_store_id, object="vector_store.deleted")


@router.post(
    "/{vector_store_id}/files",
    summary="Add a file to a vector store",
    responses=responses(*GUARDED, *READS_A_BODY, *_FINDS_A_STORE, *FINDS_A_DOCUMENT, shape=OPENAI_ERROR),
)
async def add_vector_store_file(
    vector_store_id: StoreId, new: StoreFileIn, collections: CollectionsDep, caller: CallerDep
) -> StoreFileOut:
    """Adds a file. It may be in twenty vector stores, and is read only once."""
    return StoreFileOut.of(await collections.put_in(caller, name_of(vector_store_id), new.file_id), vector_store_id)


@router.get(
    "/{vector_store_id}/files",
    summary="List a vector store's files",
    dependencies=[Lists],
    responses=responses(
        *GUARDED,
        *_FINDS_A_STORE,
        *FINDS_A_DOCUMENT,
        "invalid_request",
        "unsupported_parameter",
        shape=OPENAI_ERROR,
    ),
)
async def list_vector_store_files(
    vector_store_id: StoreId,
    documents: DocumentsDep,
    caller: CallerDep,
    after: After = None,
    limit: StoreLimit = 20,
    _order: NewestFirst = "desc",
) -> StoreFiles:
    """The files in it, newest first."""
    name = name_of(vector_store_id)
    cursor = None if after is None else cursor_of(await documents.get(caller, after))
    page = await documents.page(caller, name, cursor, limit)
    data = [StoreFileOut.of(document, vector_store_id) for document in page.items]
    first, last = ends(data)
    return StoreFiles(data=data, has_more=page.next is not None, first_id=first, last_id=last)


@router.get(
    "/{vector_store_id}/files/{file_id}",
    summary="Get a vector store's file",
    responses=responses(*GUARDED, *_FINDS_A_STORE, *FINDS_A_DOCUMENT, shape=OPENAI_ERROR),
)
async def get_vector_store_file(
    vector_store_id: StoreId, file_id: FileId, collections: CollectionsDep, caller: CallerDep
) -> StoreFileOut:
    """The file. It is `completed` once it can be searched."""
    return StoreFileOut.of(await collections.document(caller, name_of(vector_store_id), file_id), vector_store_id)


@router.delete(
    "/{vector_store_id}/files/{file_id}",
    summary="Remove a file from a vector store",
    responses=responses(*GUARDED, *_FINDS_A_STORE, *FINDS_A_DOCUMENT, *MAY_HAVE_A_BODY, shape=OPENAI_ERROR),
)
async def remove_vector_store_file(
    vector_store_id: StoreId, file_id: FileId, collections: CollectionsDep, caller: CallerDep
) -> Deleted:
    """Removes the file from it. The file itself stays; DELETE /v1/files/{file_id} deletes it."""
    await collections.take_out(caller, name_of(vector_store_id), file_id)
    return Deleted(id=file_id, object="vector_store.file.deleted")


@read_router.post(
    "/{vector_store_id}/search",
    summary="Search a vector store",
    responses=responses(
        *GUARDED, *READS_A_BODY, *_FINDS_A_STORE, "quota_exceeded", *ASKS_A_MODEL, "unsupported_parameter",
        "index_mismatch", "documents_not_installed", shape=OPENAI_ERROR,
    ),
)  # fmt: skip
async def search_vector_store(
    vector_store_id: StoreId, wanted: SearchIn, collections: CollectionsDep, caller: CallerDep
) -> SearchResults:
    """The passages nearest to the query, by meaning and by words."""
    if wanted.filters is not None:
        detail = "Files have no attributes here, so there is nothing to filter by. Leave `filters` out."
        raise StreamForgeError("unsupported_parameter", detail, pointer="#/filters")
    queries = [wanted.query] if isinstance(wanted.query, str) else wanted.query
    least = wanted.ranking_options.score_threshold if wanted.ranking_options else 0.0
    name = name_of(vector_store_id)
    found = await collections.search(caller, name, queries, limit=wanted.max_num_results, min_score=least)
    return SearchResults(search_query=queries, data=[SearchResult.of(passage) for passage in found])
