"""StreamForge: `create_app()`, `app` for `uvicorn main:app`, and `main()` for `python main.py`."""

import gc

# Off until `_lifespan` freezes the objects of the start-up: collections before that find nothing to free, and take a
# fifth of the start-up time.
gc.disable()

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI

import serving
from config.settings import Settings, get_settings
from domain.catalogue import Catalogue
from routers.api import add_routes, dialects
from routers.deps import AppState
from routers.http.errors import add_error_handlers
from routers.http.limits.values import SHIPPED, ConnectionLimits
from routers.http.middleware import add_middleware
from routers.openapi.docs_page import add_docs_page
from routers.openapi.document import describe_api
from routers.streams.responses import StreamingApp
from services.assembly.access import key_secret
from services.container import open_services, read_catalogue


def create_app(settings: Settings | None = None, limits: ConnectionLimits = SHIPPED) -> FastAPI:
    """The application, built from these settings, by default from the environment's.

    Raises `CatalogueError` for models that cannot be used, `SecretError` for a secret that cannot be stored.
    """
    settings = settings or get_settings()
    app = StreamingApp(
        title=settings.APP_NAME,
        version=settings.APP_VERSION,
        description="Post a message; the answer streams back word by word over Server-Sent Events.",
        lifespan=partial(
            _lifespan,
            settings=settings,
            catalogue=read_catalogue(settings),
            secret=key_secret(settings, settings.DATA_DIR),
        ),
        docs_url=None,
        redoc_url=None,
        # Nothing is sent anywhere that our own settings do not name, whatever the environment holds.
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
    )
    served = dialects(api_keys=settings.AUTH_MODE == "api_key")
    add_middleware(
        app,
        origins=settings.CORS_ORIGINS,
        max_body_bytes=settings.MAX_BODY_BYTES,
        uploads={path: settings.MAX_UPLOAD_BYTES for dialect in served for path in dialect.uploads},
        loopback_only=settings.AUTH_MODE == "none" and not settings.ALLOW_UNAUTHENTICATED,
        authenticated=settings.AUTH_MODE != "none",
        limits=limits,
        hosts=settings.ALLOWED_HOSTS,
        proxies=settings.FORWARDED_ALLOW_IPS,
    )
    add_error_handlers(app, served)
    add_routes(app, served)
    describe_api(app, served, authenticated=settings.AUTH_MODE != "none")
    if settings.shows_docs():
        add_docs_page(app)
    return app


@asynccontextmanager
async def _lifespan(
    _: FastAPI, settings: Settings, catalogue: Catalogue, secret: bytes | None
) -> AsyncIterator[AppState]:
    async with open_services(settings, catalogue, secret) as services:
        # The objects made so far stay: leave them out of every collection. With thousands of streams, a collection that
        # walks everything costs each of them more than its words do. To collect now would take a tenth of the start-up
        # time for 0.2 MiB, unless another application ran in this process, and left more.
        if gc.isenabled():
            gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 50, 100)
        gc.enable()
        yield {"services": services}


def __getattr__(name: str) -> Any:
    """`main.app`, made on first access, so that importing this module does not read the environment."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    app = globals()["app"] = serving.app_for_uvicorn(create_app)
    return app


def main(argv: list[str]) -> int:
    """Serves until a signal arrives, or runs the command in `argv`; returns the exit code."""
    return serving.run(argv, create_app)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
