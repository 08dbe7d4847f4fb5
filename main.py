"""StreamForge: `create_app()`, `app` for `uvicorn main:app`, and `python main.py`: serves, or hands on to `cli`."""

import errno
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI

from config.logging import configure_logging
from config.settings import Settings, describe, get_settings
from domain.models import Catalogue
from routers.api import routers
from routers.deps import State
from routers.http.errors import add_error_handlers
from routers.http.middleware import add_middleware
from routers.openapi.streams import add_docs
from routers.streams.responses import StreamingApp
from services.access.secret import SecretError
from services.assembly.access import key_secret
from services.container import check_storage, open_services, read_catalogue
from services.models.catalogue import CatalogueError
from services.storage import StorageError

SEND_BUFFER_BYTES = 64 * 1024
RELOAD_DRAIN_SECONDS = 1.0


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application, built from the settings it is handed; without any, from the environment's.

    A catalogue of models that cannot be used is a `CatalogueError`, a secret that cannot be kept a `SecretError`.
    """
    settings = settings or get_settings()
    app = StreamingApp(
        title=settings.APP_NAME,
        version=settings.APP_VERSION,
        description="Post a message; the answer streams back word by word over Server-Sent Events.",
        lifespan=partial(_lifespan, settings=settings, catalogue=read_catalogue(settings), secret=key_secret(settings)),
        docs_url=None,
        redoc_url=None,
    )
    add_middleware(
        app,
        origins=settings.CORS_ORIGINS,
        max_body_bytes=settings.MAX_BODY_BYTES,
        uploads=dict.fromkeys(("/documents/upload", "/v1/files"), settings.MAX_UPLOAD_BYTES),
        loopback_only=settings.AUTH_MODE == "none" and not settings.ALLOW_UNAUTHENTICATED,
        hosts=settings.ALLOWED_HOSTS,
        proxies=settings.FORWARDED_ALLOW_IPS,
    )
    add_error_handlers(app)
    for router in routers(api_keys=settings.AUTH_MODE == "api_key"):
        app.include_router(router)
    add_docs(app, authenticated=settings.AUTH_MODE != "none")
    return app


@asynccontextmanager
async def _lifespan(_: FastAPI, settings: Settings, catalogue: Catalogue, secret: bytes | None) -> AsyncIterator[State]:
    async with open_services(settings, catalogue, secret) as services:
        # What start-up made stays: collected once more, then left out of every later collection. A collection
        # that walks everything costs each of thousands of streams more than its words do.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 50, 100)
        yield {"services": services}


def _load_settings(exit_code: int) -> Settings:
    try:
        settings = get_settings()
    except (ValueError, OSError) as error:  # pydantic's errors are ValueErrors; .env may be unreadable or not UTF-8
        print(describe(error), file=sys.stderr)
        raise SystemExit(exit_code) from None
    if _reloading():  # the reloader waits for us, and the developer for it
        settings = settings.model_copy(update={"DRAIN_TIMEOUT": min(settings.DRAIN_TIMEOUT, RELOAD_DRAIN_SECONDS)})
    configure_logging(settings.LOG_LEVEL)
    return settings


def _reloading() -> bool:
    """Whether `uvicorn --reload` runs us; its child process inherits the command line."""
    return "--reload" in sys.argv or os.environ.get("UVICORN_RELOAD", "").lower() in ("1", "true", "yes", "on")


def __getattr__(name: str) -> Any:
    """`main.app`, made when it is first asked for: importing this module reads no environment."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Exit code 3 is uvicorn's own for a failed start; after any other it would start a worker anew for ever.
    settings = _load_settings(exit_code=3)
    if problem := _too_many(_workers_of_uvicorn(), settings):
        print(problem, file=sys.stderr)
        raise SystemExit(3)
    app = globals()["app"] = _create_or_exit(settings, exit_code=3)
    return app


def _too_many(workers: int, settings: Settings) -> str | None:
    """Why so many workers cannot be served with, if that is so."""
    if workers <= 1 or settings.REDIS_URL is not None:
        return None
    return (
        f"StreamForge cannot start {workers} workers: a stream in the memory of one cannot be read in another. "
        "Set REDIS_URL, or start one. See docs/operations.md."
    )


def _workers_of_uvicorn() -> int:
    """How many `uvicorn main:app` starts; its workers inherit the command line."""
    given = dict(zip(sys.argv, [*sys.argv[1:], ""], strict=True)).get("--workers")
    for word in sys.argv:
        given = word.partition("=")[2] if word.startswith("--workers=") else given
    given = given or os.environ.get("WEB_CONCURRENCY", "")
    return int(given) if given.isdigit() else 1


def _create_or_exit(settings: Settings, exit_code: int) -> FastAPI:
    try:
        check_storage(settings)
        return create_app(settings)
    except CatalogueError as error:
        print(f"StreamForge cannot start, its models are wrong: {error} See docs/models.md.", file=sys.stderr)
        raise SystemExit(exit_code) from None
    except StorageError as error:
        print(f"StreamForge cannot start: {error} See docs/operations.md.", file=sys.stderr)
        raise SystemExit(exit_code) from None
    except SecretError as error:
        print(f"StreamForge cannot start: {error} See docs/security.md.", file=sys.stderr)
        raise SystemExit(exit_code) from None


def _listen(host: str, port: int, send_seconds: float) -> socket.socket:
    """The listening socket. Connections inherit from it how much they buffer and how long they wait for an ack."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(send_seconds * 1000))
    listener.bind((host, port))
    listener.listen(2048)  # clients that come while we start wait, instead of being refused
    return listener


def serve(argv: list[str]) -> int:
    """`python main.py`: serve until a signal comes, or do what the words say. Answers the exit code."""
    settings = _load_settings(exit_code=2)
    if argv:
        from cli.main import run

        return run(argv, settings, _serve)
    return _serve(settings)


def _serve(settings: Settings) -> int:
    if problem := _too_many(settings.WORKERS, settings):
        print(problem, file=sys.stderr)
        return 2
    app = _create_or_exit(settings, exit_code=2)
    import structlog
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    try:
        listener = _listen(settings.HOST, settings.PORT, settings.STREAM_SEND_TIMEOUT)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        way_out = f" Choose another port: PORT={settings.PORT % 65_535 + 1} make run" if taken else ""
        where = f"{settings.HOST}:{settings.PORT}"
        print(f"StreamForge cannot listen on {where}: {error.strerror}.{way_out}", file=sys.stderr)
        return 1
    several = settings.WORKERS > 1
    config = uvicorn.Config(
        "main:app" if several else app,  # each worker makes its own
        workers=settings.WORKERS,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=1,  # the drain has ended every stream by then
    )
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    structlog.get_logger("main").info("serving", url=url, docs=f"{url}/docs", version=settings.APP_VERSION)
    try:
        server = uvicorn.Server(config)
        if several:
            Multiprocess(config, sockets=[listener]).run()
        else:
            server.run(sockets=[listener])
    except KeyboardInterrupt:  # uvicorn raises the signal once more when all is done
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:]))
