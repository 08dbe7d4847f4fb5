"""The table of contents: every dialect, and every router of our own API."""

from collections.abc import Sequence
from dataclasses import replace

from fastapi import FastAPI

from routers import chat, doctor, documents, models, sessions, system, usage
from routers.ag_ui import dialect as ag_ui
from routers.ai_sdk import dialect as ai_sdk
from routers.http.dialects import Dialect
from routers.http.error_shapes import PROBLEM
from routers.http.errors import Problem
from routers.openai import dialect as openai

NATIVE = Dialect(
    "",
    [
        chat.router,
        sessions.router,
        documents.upload_router,
        documents.router,
        models.router,
        usage.router,
        chat.public,
        doctor.public,
        system.public,
    ],
    PROBLEM,
    components=[Problem],
    uploads=["/documents/upload"],
)


def dialects(*, api_keys: bool) -> Sequence[Dialect]:
    """All that are served. The routes of keys are there only if callers have API keys."""
    native = NATIVE
    if api_keys:
        from routers import keys

        native = replace(NATIVE, routers=[*NATIVE.routers, keys.router])
    return [native, openai.DIALECT, ai_sdk.DIALECT, ag_ui.DIALECT]


def add_routes(app: FastAPI, dialects: Sequence[Dialect]) -> None:
    """Route requests to the dialects, the busiest router of each first; the ids of operations are functions' names.

    FastAPI builds the routes of a router when it first looks for a request in it. So `/health`, which is asked as soon
    as the server starts, does not come last: its answer would wait until all are built.
    """
    routers = [router for dialect in dialects for router in dialect.routers]
    first = [dialect.routers[0] for dialect in dialects]
    first.insert(1, system.public)
    for router in first + [router for router in routers if router not in first]:
        app.include_router(router, generate_unique_id_function=lambda route: route.name)
