"""The table of contents: every router of the API."""

from fastapi import APIRouter

from routers import (
    ag_ui,
    ai_sdk,
    chat,
    doctor,
    documents,
    models,
    openai,
    openai_embeddings,
    openai_files,
    openai_vector_stores,
    sessions,
    system,
    usage,
)

# The busiest first: routes are tried in this order.
_ROUTERS = [
    chat.router,
    openai.router,
    ai_sdk.router,
    ag_ui.router,
    sessions.router,
    documents.router,
    openai_embeddings.router,
    openai_files.router,
    openai_vector_stores.looking,
    openai_vector_stores.router,
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
