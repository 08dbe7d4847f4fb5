"""Logs: one line an event, JSON for machines, readable where a person looks at a terminal."""

import logging
import sys
import traceback
import warnings
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import Processor

Line = MutableMapping[str, Any]

# Their lines hold addresses of models, and at DEBUG whole prompts.
_TALKATIVE = ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "langsmith")


def configure_logging(level: str) -> None:
    """Send our logs and uvicorn's to standard error in one format; call once, before anything logs.

    Lines carry what was bound for the request (its id). An exception is told by its type and where it
    happened, never by its message or its variables: those hold prompts, answers and keys.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    final: list[Processor] = [_tell_exception, _renderer()]
    structlog.configure(
        processors=[*shared, *final],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _first_line],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    warnings.showwarning = _tell_warning
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def _renderer() -> Processor:
    if sys.stderr.isatty():
        return structlog.dev.ConsoleRenderer()
    return structlog.processors.JSONRenderer(serializer=lambda line, **_: orjson.dumps(line, default=repr).decode())


def _first_line(_: Any, __: str, line: Line) -> Line:
    """Of a message that is not ours: asyncio's go on with the exception itself, message and all."""
    line["event"] = str(line["event"]).partition("\n")[0]
    return line


def _tell_warning(
    message: Warning | str,  # noqa: ARG001 - the hook's signature
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    """Warnings show values: pydantic's, a piece of the answer."""
    logging.getLogger("warnings").warning("%s at %s:%s", category.__name__, filename, lineno)


def _tell_exception(_: Any, __: str, line: Line) -> Line:
    """Replace `exc_info` by the exception's type and its frames, outermost first."""
    exc_info = line.pop("exc_info", None)
    if exc_info is True:
        exc_info = sys.exc_info()
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if isinstance(error, BaseException):
        line["exception"] = type(error).__qualname__
        line["at"] = _frames(error.__traceback__)
        if cause := error.__cause__ or error.__context__:
            line["cause"] = type(cause).__qualname__
    return line


def _frames(trace: TracebackType | None) -> list[str]:
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)[-12:]]
