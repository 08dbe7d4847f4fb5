"""Run as a program by `Parser`: reads one document from standard input and writes its text to standard output.

The input is a line with the name and the limits, then the whole document. The output is one line for each of these:
`confined` (the means by which this process is confined), `page` and `of`, then `document`, each `section` followed by
its `text` in pieces, then `end`. At any moment `error` may come instead, as the last line.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # run with -I, which leaves the program's own folder out of the path
    sys.path.insert(0, str(Path(__file__).parent.parent))

from children import lines
from children.confinement import confine, is_full, lower_priority, python_files
from domain.documents import Parsed
from domain.errors import StreamForgeError
from parsing.limits import ParseLimits
from parsing.progress import OnPage
from parsing.reading import read_document

PIECE = 32_768
"""The most characters of text on one line of output."""

_ROOT = Path(__file__).parent.parent
_OWN = tuple(str(_ROOT / package) for package in ("children", "domain", "parsing"))
"""The packages of the program that a reader imports: not the folder they are in, which may hold the server's data."""

ReadDocument = Callable[[bytes, str, ParseLimits, OnPage], Parsed]


def main(read: ReadDocument = read_document, *, abi: int | None = None) -> None:
    """Read one document, in confinement by no newer `abi` of Landlock."""
    request = lines.read(sys.stdin.buffer)
    limits = ParseLimits(**request["limits"])
    lower_priority(10)
    means = confine(python_files(*_OWN), memory=limits.memory, cpu_seconds=limits.cpu_seconds, abi=abi)
    _write(confined=means)
    if request["fully"] and not is_full(means):
        return  # the parent knows by now
    try:
        parsed = read(sys.stdin.buffer.read(), request["name"], limits, lambda page, of: _write(page=page, of=of))
        _write_document(parsed)
    except BaseException as error:  # any error here was caused by this document
        failure = _failure(error)
        _write(error=failure.code, detail=failure.detail, why=type(error).__name__)


def _write(**fields: Any) -> None:
    lines.write(sys.stdout.buffer, **fields)


def _write_document(parsed: Parsed) -> None:
    _write(document=parsed.media_type, title=parsed.title, pages=parsed.pages)
    for section in parsed.sections:
        _write(section=section.page, heading=section.heading)
        for start in range(0, len(section.text), PIECE):
            _write(text=section.text[start : start + PIECE])
    _write(end=True)


def _failure(error: BaseException) -> StreamForgeError:
    if isinstance(error, StreamForgeError):
        return error
    if isinstance(error, MemoryError):
        return StreamForgeError(
            "document_too_complex", "Reading the document takes more memory than this server allows. Split it."
        )
    if isinstance(error, RecursionError):
        return StreamForgeError("document_too_complex", "The document is nested too deeply. Flatten it.")
    if isinstance(error, ImportError):
        return StreamForgeError("documents_not_installed")
    if isinstance(error, PermissionError):  # a file that the reader needed is outside of what it may read
        return StreamForgeError("document_crashed")
    return StreamForgeError("document_broken")


if __name__ == "__main__":
    main()
