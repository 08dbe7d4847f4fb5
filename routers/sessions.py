"""Conversations: a caller's sessions, and what was said in them."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator

from domain.messages import Message, Session, known_session_id
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
from routers.schemas.messages import FoundOut, FoundPage, MessageOut, MessagePage
from routers.schemas.sessions import BranchIn, SessionChange, SessionIn, SessionOut, SessionPage

router = APIRouter(tags=["sessions"], route_class=guarded("chat"))

SessionId = Annotated[
    str,
    Path(json_schema_extra={"pattern": "^[0-9a-f]{32}$"}, description="From `X-Session-Id`"),
    AfterValidator(known_session_id),
]


@router.post(
    "/sessions",
    summary="Open a session",
    status_code=201,
    responses=responses(*GUARDED, *READS_A_BODY, *USES_THE_DATABASE),
)
async def create_session(sessions: SessionsDep, caller: CallerDep, asked: SessionIn) -> SessionOut:
    """Opens an empty one, as `POST /chat` with `new_session` does; one with that `client_id` is opened once."""
    return SessionOut.model_validate(await sessions.create(caller, title=asked.title, client_id=asked.client_id))


@router.get(
    "/sessions",
    summary="Which sessions do I have?",
    response_model_exclude_none=True,
    responses=responses(*GUARDED, *LISTS_PAGES),
)
async def list_sessions(
    sessions: SessionsDep, caller: CallerDep, cursor: PageCursor = None, limit: Limit = 50
) -> SessionPage:
    """Yours, in pages; the one that was used last comes first."""
    page = await sessions.page(caller, cursor, limit)
    return SessionPage.model_validate(page)


@router.delete(
    "/sessions",
    summary="Forget everything",
    status_code=204,
    responses=responses(*GUARDED, *MAY_HAVE_A_BODY, "invalid_request", *USES_THE_DATABASE),
)
async def forget_everything(
    sessions: SessionsDep,
    caller: CallerDep,
    everything: Annotated[Literal["true"], Query(description="To be sure")],  # noqa: ARG001 - asked for, no more
) -> Response:
    """Deletes every session and every message of yours, and stops what still answers in them."""
    await sessions.delete_all(caller)
    return Response(status_code=204)


@router.get(
    "/search",
    summary="Where was that said?",
    responses=responses(*GUARDED, *LISTS_PAGES),
)
async def search_messages(
    sessions: SessionsDep,
    caller: CallerDep,
    q: Annotated[str, Query(min_length=1, max_length=200, description="Words that all stand in the message")],
    cursor: PageCursor = None,
    limit: Limit = 20,
) -> FoundPage:
    """Messages of yours in which all these words stand, newest first."""
    page = await sessions.search(caller, q, cursor, limit)
    return FoundPage(items=[FoundOut.of(found) for found in page.items], next=page.next)


@router.get("/sessions/{session_id}", summary="One session", responses=responses(*GUARDED, *FINDS_A_SESSION))
async def get_session(session_id: SessionId, sessions: SessionsDep, caller: CallerDep) -> SessionOut:
    """Its title and when it was used."""
    return SessionOut.model_validate(await sessions.get(caller, session_id))


@router.patch(
    "/sessions/{session_id}", summary="Rename a session", responses=responses(*GUARDED, *FINDS_A_SESSION, *READS_A_BODY)
)
async def rename_session(
    session_id: SessionId, change: SessionChange, sessions: SessionsDep, caller: CallerDep
) -> SessionOut:
    """Sets the title, which is yours from then on."""
    return SessionOut.model_validate(await sessions.rename(caller, session_id, change.title))


@router.delete(
    "/sessions/{session_id}",
    summary="Delete a session",
    status_code=204,
    responses=responses(*GUARDED, *FINDS_A_SESSION, *MAY_HAVE_A_BODY),
)
async def delete_session(session_id: SessionId, sessions: SessionsDep, caller: CallerDep) -> Response:
    """Deletes it with all its messages, and stops what still answers in it."""
    await sessions.delete(caller, session_id)
    return Response(status_code=204)


@router.put(
    "/sessions/{session_id}/branch",
    summary="Switch to another version",
    responses=responses(*GUARDED, *FINDS_A_SESSION, *READS_A_BODY, "message_not_found"),
)
async def switch_branch(
    session_id: SessionId, branch: BranchIn, sessions: SessionsDep, caller: CallerDep
) -> SessionOut:
    """Makes the branch with this message the active one, which the model is told and the history shows."""
    return SessionOut.model_validate(await sessions.activate(caller, session_id, branch.message_id))


@router.get(
    "/sessions/{session_id}/export",
    summary="Take a conversation along",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The active branch as a file",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "text/markdown": {"schema": {"type": "string"}},
            },
        },
        **responses(*GUARDED, *FINDS_A_SESSION, "invalid_request"),
    },
)
async def export_session(
    session_id: SessionId,
    sessions: SessionsDep,
    caller: CallerDep,
    format: Annotated[Literal["json", "markdown"], Query(description="`json` or `markdown`")] = "json",
) -> Response:
    """The active branch, whole, as JSON or Markdown."""
    session = await sessions.get(caller, session_id)
    name, media_type, write = (
        (f"{session.id}.json", "application/json", _as_json)
        if format == "json"
        else (f"{session.id}.md", "text/markdown; charset=utf-8", _as_markdown)
    )
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    pages = sessions.whole(caller, session.id)
    return StreamingResponse(write(session, pages), headers=headers, media_type=media_type)


@router.get(
    "/chat/history/{session_id}",
    summary="What was said?",
    response_model_exclude_none=True,
    responses=responses(*GUARDED, *FINDS_A_SESSION, *LISTS_PAGES),
)
async def get_history(
    session_id: SessionId,
    sessions: SessionsDep,
    caller: CallerDep,
    cursor: PageCursor = None,
    limit: Limit = 50,
    all_branches: Annotated[bool, Query(alias="all", description="Every message, not the active branch alone")] = False,
) -> MessagePage:
    """The messages of the active branch, oldest first; with `all=true` those of every branch, as they came."""
    page = await sessions.history(caller, session_id, cursor, limit, whole=all_branches)
    return MessagePage(items=[MessageOut.of(message) for message in page.items], next=page.next)


@router.delete(
    "/chat/history/{session_id}",
    summary="Empty a session",
    status_code=204,
    responses=responses(*GUARDED, *FINDS_A_SESSION, *MAY_HAVE_A_BODY),
)
async def clear_history(session_id: SessionId, sessions: SessionsDep, caller: CallerDep) -> Response:
    """Deletes its messages and keeps the session."""
    await sessions.clear(caller, session_id)
    return Response(status_code=204)


async def _as_json(session: Session, pages: AsyncIterator[list[Message]]) -> AsyncIterator[bytes]:
    yield (
        b'{"session":'
        + SessionOut.model_validate(session).model_dump_json(exclude_none=True).encode()
        + b',"messages":['
    )
    first = True
    async for page in pages:
        items = [MessageOut.of(message).model_dump_json(exclude_none=True).encode() for message in page]
        yield (b"" if first or not items else b",") + b",".join(items)
        first = first and not items
    yield b"]}\n"


async def _as_markdown(session: Session, pages: AsyncIterator[list[Message]]) -> AsyncIterator[bytes]:
    """Headings for who speaks; what they say stays as it is."""
    title = " ".join((session.title or "Conversation").split())
    yield f"# {title}\n".encode()
    async for page in pages:
        for message in page:
            who = "You" if message.role == "user" else f"Answer ({message.model}, {message.state})"
            yield f"\n## {who}\n\n{message.text}\n{_cited(message)}".encode()


def _cited(message: Message) -> str:
    """What the marks in an answer refer to."""
    lines = []
    for source in message.sources or ():
        if source["cited"]:
            page = f", page {source['page']}" if "page" in source else ""
            lines.append(f"- [{source['number']}] {' '.join(source['title'].split())}{page}")
    return "\n" + "\n".join(lines) + "\n" if lines else ""
