"""Conversations: a caller's sessions, and the messages in them."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator

from domain.messages import known_session_id
from routers.deps import CallerDep, SessionsDep
from routers.http.guard import guarded
from routers.openapi.codes import (
    FINDS_A_SESSION,
    GUARDED,
    LISTS_PAGES,
    MAY_HAVE_A_BODY,
    READS_A_BODY,
    USES_THE_DATABASE,
    responses,
)
from routers.schemas.base import Limit, PageCursor
from routers.schemas.export import as_json, as_markdown
from routers.schemas.messages import FoundOut, FoundPage, MessageOut, MessagePage
from routers.schemas.sessions import BranchIn, SessionChange, SessionIn, SessionOut, SessionPage

router = APIRouter(tags=["Sessions"], route_class=guarded("chat"))

SessionId = Annotated[
    str,
    Path(json_schema_extra={"pattern": "^[0-9a-f]{32}$"}, description="From `X-Session-Id`"),
    AfterValidator(known_session_id),
]


@router.post(
    "/sessions",
    summary="Create a session",
    status_code=201,
    responses=responses(*GUARDED, *READS_A_BODY, "quota_exceeded", *USES_THE_DATABASE),
)
async def create_session(sessions: SessionsDep, caller: CallerDep, new: SessionIn) -> SessionOut:
    """Creates an empty session. If you have one with this `client_id`, returns that, unchanged."""
    return SessionOut.model_validate(await sessions.create(caller, title=new.title, client_id=new.client_id))


@router.get(
    "/sessions",
    summary="List sessions",
    response_model_exclude_none=True,
    responses=responses(*GUARDED, *LISTS_PAGES),
)
async def list_sessions(
    sessions: SessionsDep, caller: CallerDep, cursor: PageCursor = None, limit: Limit = 50
) -> SessionPage:
    """Your sessions, the most recently used first."""
    page = await sessions.page(caller, cursor, limit)
    return SessionPage.model_validate(page)


@router.delete(
    "/sessions",
    summary="Delete all sessions",
    status_code=204,
    responses=responses(*GUARDED, *MAY_HAVE_A_BODY, "invalid_request", *USES_THE_DATABASE),
)
async def delete_all_sessions(
    sessions: SessionsDep,
    caller: CallerDep,
    everything: Annotated[Literal["true"], Query(description="A confirmation")],  # noqa: ARG001 - required, no more
) -> Response:
    """Deletes all your sessions with their messages, and stops the answers that still run in them."""
    await sessions.delete_all(caller)
    return Response(status_code=204)


@router.get(
    "/search",
    summary="Search messages",
    responses=responses(*GUARDED, "quota_exceeded", *LISTS_PAGES),
)
async def search_messages(
    sessions: SessionsDep,
    caller: CallerDep,
    q: Annotated[str, Query(min_length=1, max_length=200, description="Words that must all be in the message")],
    cursor: PageCursor = None,
    limit: Limit = 20,
) -> FoundPage:
    """Your messages that contain all these words, newest first. After two seconds the page is returned as it is."""
    page = await sessions.search(caller, q, cursor, limit)
    items = [FoundOut.of(found) for found in page.items]
    return FoundPage(items=items, next=page.next, incomplete=page.incomplete)


@router.get("/sessions/{session_id}", summary="Get a session", responses=responses(*GUARDED, *FINDS_A_SESSION))
async def get_session(session_id: SessionId, sessions: SessionsDep, caller: CallerDep) -> SessionOut:
    """The session: its title, and when it was last used."""
    return SessionOut.model_validate(await sessions.get(caller, session_id))


@router.patch(
    "/sessions/{session_id}", summary="Rename a session", responses=responses(*GUARDED, *FINDS_A_SESSION, *READS_A_BODY)
)
async def rename_session(
    session_id: SessionId, change: SessionChange, sessions: SessionsDep, caller: CallerDep
) -> SessionOut:
    """Sets the title. No automatic title replaces it."""
    return SessionOut.model_validate(await sessions.rename(caller, session_id, change.title))


@router.delete(
    "/sessions/{session_id}",
    summary="Delete a session",
    status_code=204,
    responses=responses(*GUARDED, *FINDS_A_SESSION, *MAY_HAVE_A_BODY),
)
async def delete_session(session_id: SessionId, sessions: SessionsDep, caller: CallerDep) -> Response:
    """Deletes the session with its messages, and stops the answer that still runs in it."""
    await sessions.delete(caller, session_id)
    return Response(status_code=204)


@router.put(
    "/sessions/{session_id}/branch",
    summary="Switch the active branch",
    responses=responses(*GUARDED, *FINDS_A_SESSION, *READS_A_BODY, "message_not_found"),
)
async def switch_branch(
    session_id: SessionId, branch: BranchIn, sessions: SessionsDep, caller: CallerDep
) -> SessionOut:
    """Makes the branch of this message the active one: the model is given it, and the history shows it."""
    return SessionOut.model_validate(await sessions.activate(caller, session_id, branch.message_id))


@router.get(
    "/sessions/{session_id}/export",
    summary="Export a session",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The active branch as a file",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "text/markdown": {"schema": {"type": "string"}},
            },
        },
        **responses(*GUARDED, "quota_exceeded", *FINDS_A_SESSION, "invalid_request"),
    },
)
async def export_session(
    session_id: SessionId,
    sessions: SessionsDep,
    caller: CallerDep,
    format: Annotated[Literal["json", "markdown"], Query(description="`json` or `markdown`")] = "json",
) -> Response:
    """The whole active branch as a file, JSON or Markdown."""
    session = await sessions.get(caller, session_id)
    name, media_type, write = (
        (f"{session.id}.json", "application/json", as_json)
        if format == "json"
        else (f"{session.id}.md", "text/markdown; charset=utf-8", as_markdown)
    )
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    pages = await sessions.whole(caller, session.id)
    return StreamingResponse(write(session, pages), headers=headers, media_type=media_type)


@router.get(
    "/chat/history/{session_id}",
    summary="Get a session's history",
    response_model_exclude_none=True,
    responses=responses(*GUARDED, *FINDS_A_SESSION, *LISTS_PAGES),
)
async def get_session_history(
    session_id: SessionId,
    sessions: SessionsDep,
    caller: CallerDep,
    cursor: PageCursor = None,
    limit: Limit = 50,
    all_branches: Annotated[bool, Query(alias="all", description="Messages of every branch")] = False,
) -> MessagePage:
    """The messages of the active branch, oldest first. With `all=true` those of every branch, as they were sent."""
    page = await sessions.history(caller, session_id, cursor, limit, whole=all_branches)
    return MessagePage(items=[MessageOut.of(message) for message in page.items], next=page.next)


@router.delete(
    "/chat/history/{session_id}",
    summary="Clear a session's history",
    status_code=204,
    responses=responses(*GUARDED, *FINDS_A_SESSION, *MAY_HAVE_A_BODY),
)
async def clear_session_history(session_id: SessionId, sessions: SessionsDep, caller: CallerDep) -> Response:
    """Deletes the messages and keeps the session."""
    await sessions.clear(caller, session_id)
    return Response(status_code=204)
