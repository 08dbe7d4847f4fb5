"""Logs: one line for each event, as JSON, or in a form for people if they go to a terminal."""

import logging
import sys
import traceback
import warnings
from collections.abc import MutableMapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO, cast

import orjson

from config.lean_structlog import structlog
from config.log_writer import LogWriter

if TYPE_CHECKING:
    from structlog.typing import Processor

LogLine = MutableMapping[str, Any]

# Their messages contain nothing of a request. Those of other packages contain addresses, answers and, at DEBUG, whole
# prompts and keys, so they are replaced by the place that logged them.
_TRUSTED = ("uvicorn", "asyncio", "warnings")


def configure_logging(level: str) -> None:
    """Send our logs and uvicorn's to standard error in one format; call once, before anything logs.

    Lines carry what was bound for the request (its id). Of an exception they have the type and the place, never the
    message or the variables: those contain prompts, answers and keys. A message of another package is replaced by the
    place that logged it.
    """
    writer = LogWriter(sys.stderr)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    final: list[Processor] = [_reduce_exception, _renderer()]
    structlog.configure(
        processors=[*shared, *final],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, writer)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(writer)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _foreign],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    warnings.showwarning = _log_warning


def _renderer() -> "Processor":
    if sys.stderr.isatty():
        return structlog.dev.ConsoleRenderer()
    return structlog.processors.JSONRenderer(serializer=lambda line, **_: orjson.dumps(line, default=repr).decode())


def _foreign(_: Any, __: str, line: LogLine) -> LogLine:
    """A message of another package: its place or, if trusted, its first line; in asyncio's, exceptions follow."""
    record: logging.LogRecord = line["_record"]
    if record.name.partition(".")[0] in _TRUSTED:
        line["event"] = str(line["event"]).partition("\n")[0]
    else:
        line["event"] = f"a message of {record.name}"
        line["at"] = f"{record.pathname}:{record.lineno}"
    return line


def _log_warning(
    message: Warning | str,  # noqa: ARG001 - the hook's signature
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    """Leave the message out: warnings quote values, pydantic's a piece of the answer."""
    logging.getLogger("warnings").warning("%s at %s:%s", category.__name__, filename, lineno)


def _reduce_exception(_: Any, __: str, line: LogLine) -> LogLine:
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
