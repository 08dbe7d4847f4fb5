"""Run as a program by `Parser`: read one document from standard input, tell what is in it on standard output.

In: a line of JSON with the name and the limits, then the document to its end. Out, a line of JSON each: `had` (what
keeps this process in), `page` and `of`, then `document`, and each `section` followed by its `text` in pieces, then
`end`; or at any moment `error`, which is the last.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # run with -I, which leaves the program's own folder out
    sys.path.insert(0, str(Path(__file__).parent.parent))

from children.confinement import confine
from domain.documents import Parsed
from domain.errors import StreamForgeError
from parsing.limits import ParseLimits
from parsing.reading import OnPage, read_document

PIECE = 32_768
"""Characters of text on one line of output."""

Reader = Callable[[bytes, str, ParseLimits, OnPage], Parsed]


def main(read: Reader = read_document) -> None:
    """Serve one document."""
    asked = json.loads(sys.stdin.buffer.readline())
    limits = ParseLimits(**asked["limits"])
    _tell(had=confine(limits.memory, limits.cpu_seconds))
    try:
        parsed = read(sys.stdin.buffer.read(), asked["name"], limits, lambda page, of: _tell(page=page, of=of))
        _hand_over(parsed)
    except BaseException as error:  # whatever it is, it is this document's
        failure = _failure(error)
        _tell(error=failure.code, detail=failure.detail, why=type(error).__name__)


def _hand_over(parsed: Parsed) -> None:
    _tell(document=parsed.media_type, title=parsed.title, pages=parsed.pages)
    for section in parsed.sections:
        _tell(section=section.page, heading=section.heading)
        for start in range(0, len(section.text), PIECE):
            _tell(text=section.text[start : start + PIECE])
    _tell(end=True)


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
    return StreamForgeError("document_broken")


def _tell(**what: Any) -> None:
    sys.stdout.buffer.write(json.dumps(what, ensure_ascii=False).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
