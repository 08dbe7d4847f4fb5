"""The table of contents: every router of the API."""

from fastapi import APIRouter

from routers import chat, doctor, documents, models, sessions, system, usage
from routers.ag_ui import runs as ag_ui
from routers.ai_sdk import chat as ai_sdk
from routers.openai import completions, embeddings, files, vector_stores

# The busiest first: routes are tried in this order.
_ROUTERS = [
    chat.router,
    completions.router,
    ai_sdk.router,
    ag_ui.router,
    sessions.router,
    documents.router,
    embeddings.router,
    files.router,
    vector_stores.looking,
    vector_stores.router,
    models.router,
    usage.router,
    chat.public,
    doctor.public,
    system.public,
]


def routers(*, api_keys: bool) -> list[APIRouter]:
    """The routers of an application; those of keys only where callers have API keys."""
    if not api_keys:
        return _ROUTERS
    from routers import keys

    return [*_ROUTERS, keys.router]
