"""Serving: the listening socket, the worker processes, and the exit codes of failed starts.

`app_for_uvicorn` is for `uvicorn main:app`, `run` for `python main.py`. Both take the function that creates the
application.
"""

import errno
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

from fastapi import FastAPI

from children.confinement import close_memory
from config.logging import configure_logging
from config.settings import Settings, describe, get_settings
from routers.http.limits.values import SHIPPED, ConnectionLimits
from services.access.secret import SecretError
from services.container import check_storage
from services.models.catalogue import CatalogueError
from services.storage import StorageError

SEND_BUFFER_BYTES = 64 * 1024
RELOAD_DRAIN_SECONDS = 1.0

CreateApp = Callable[[Settings], FastAPI]


def app_for_uvicorn(create_app: CreateApp) -> FastAPI:
    """The application of a process that uvicorn's own command line started."""
    # Exit code 3 is uvicorn's own for a failed start; after any other it would restart the worker for ever.
    settings = _load_settings(exit_code=3)
    if problem := _too_many(_workers_of_uvicorn(), settings):
        _exit(problem, 3)
    return _create_or_exit(create_app, settings, exit_code=3)


def run(argv: list[str], create_app: CreateApp) -> int:
    """Serves until a signal arrives, or runs the command in `argv`; returns the exit code."""
    settings = _load_settings(exit_code=2)
    if argv:
        from cli.main import run as run_command

        gc.enable()  # opening the application would do this, but a command opens none
        return run_command(argv, settings, lambda asked: serve(asked, create_app))
    return serve(settings, create_app)


def serve(settings: Settings, create_app: CreateApp, limits: ConnectionLimits = SHIPPED) -> int:
    """Serves until a signal arrives; returns the exit code."""
    if problem := _too_many(settings.WORKERS, settings):
        print(problem, file=sys.stderr)
        return 2
    _end_by_signals()
    app = _create_or_exit(create_app, settings, exit_code=2)
    import structlog

    try:
        listener = _listen(settings.HOST, settings.PORT, settings.STREAM_SEND_TIMEOUT)
    except OSError as error:
        address = f"{settings.HOST}:{settings.PORT}"
        print(cannot_listen(address, settings.PORT, error, "make run"), file=sys.stderr)
        return 1
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    docs = {"docs": f"{url}/docs"} if settings.shows_docs() else {}
    structlog.get_logger("main").info("serving", url=url, **docs, version=settings.APP_VERSION)
    try:
        _run(app, settings.WORKERS, limits, listener)
    except KeyboardInterrupt:  # uvicorn raises the signal again after its shutdown
        return 128 + signal.SIGINT
    return 0


def _run(app: FastAPI, workers: int, limits: ConnectionLimits, listener: socket.socket) -> None:
    """Serves in this process, or with several workers in theirs, until a signal arrives."""
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    from routers.http.limits.protocol import bounded_http

    config = uvicorn.Config(
        "main:app" if workers > 1 else app,  # each worker makes its own
        workers=workers,
        http=bounded_http(limits),
        timeout_keep_alive=limits.idle_seconds,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=1,  # the drain has ended every stream by then
    )
    if workers > 1:
        gc.enable()  # opening the application would do this, but only the workers open it
        Multiprocess(config, sockets=[listener]).run()
    else:
        uvicorn.Server(config).run(sockets=[listener])


def _end_by_signals() -> None:
    """Makes TERM end the first process of a container: during the start, and when uvicorn raises it after its shutdown.

    To that process a signal without a handler does nothing. Others it ends by itself, as service managers expect.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def _load_settings(exit_code: int) -> Settings:
    try:
        settings = get_settings()
    except (ValueError, OSError) as error:  # pydantic's errors are ValueErrors; .env may be unreadable or not UTF-8
        _exit(describe(error), exit_code)
    if _reloading():  # the reloader waits for this process, and the developer for the reloader
        settings = settings.model_copy(update={"DRAIN_TIMEOUT": min(settings.DRAIN_TIMEOUT, RELOAD_DRAIN_SECONDS)})
    configure_logging(settings.LOG_LEVEL)
    return settings


def _reloading() -> bool:
    """Whether `uvicorn --reload` runs this process; it inherits the command line."""
    return "--reload" in sys.argv or os.environ.get("UVICORN_RELOAD", "").lower() in ("1", "true", "yes", "on")


def _workers_of_uvicorn() -> int:
    """How many workers `uvicorn main:app` starts; they inherit the command line."""
    count = os.environ.get("WEB_CONCURRENCY", "")
    for number, word in enumerate(sys.argv):
        if word.startswith("--workers="):
            count = word.partition("=")[2]
        elif word == "--workers" and number + 1 < len(sys.argv):
            count = sys.argv[number + 1]
    return int(count) if count.isdigit() else 1


def _too_many(workers: int, settings: Settings) -> str | None:
    """Why this many workers cannot serve; `None` if they can."""
    if workers <= 1 or settings.REDIS_URL is not None:
        return None
    return (
        f"StreamForge cannot start {workers} workers: a stream in the memory of one cannot be read in another. "
        "Set REDIS_URL, or start one. See docs/operations.md."
    )


def _create_or_exit(create_app: CreateApp, settings: Settings, exit_code: int) -> FastAPI:
    if not settings.ALLOW_PROFILING:
        close_memory()
    try:
        check_storage(settings)
        return create_app(settings)
    except CatalogueError as error:
        _exit(f"StreamForge cannot start because its models are wrong: {error} See docs/models.md.", exit_code)
    except StorageError as error:
        _exit(f"StreamForge cannot start: {error} See docs/operations.md.", exit_code)
    except SecretError as error:
        _exit(f"StreamForge cannot start: {error} See docs/security.md.", exit_code)


def _listen(host: str, port: int, send_seconds: float) -> socket.socket:
    """The listening socket. Connections inherit its send buffer and how long they wait for an ACK."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(send_seconds * 1000))
    listener.bind((host, port))
    listener.listen(2048)  # clients that connect during the start wait, instead of being refused
    return listener


def cannot_listen(address: str, port: int, error: OSError, command: str) -> str:
    """Why the server does not start. If the port is taken, it includes the `command` that uses another one."""
    taken = error.errno == errno.EADDRINUSE
    way_out = f" Choose another port: PORT={port % 65_535 + 1} {command}" if taken else ""
    return f"StreamForge cannot listen on {address}: {error.strerror}.{way_out}"


def _exit(sentence: str, code: int) -> NoReturn:
    print(sentence, file=sys.stderr)
    raise SystemExit(code)
