"""Reads each document in a process of its own, so that a failure there affects only that document.

The process gets an empty environment and gives up everything that reading does not need (`children.confinement`). This
module watches it: its time is limited, its output is bounded and checked before it is used, and in the end its whole
group is killed.
"""

import asyncio
import contextlib
import dataclasses
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from children import lines
from children.child import Child
from children.confinement import is_full, lacking
from children.spawning import Program, spawn
from domain.documents import MAX_DETAIL, Parsed, Section
from domain.errors import ERRORS, StreamForgeError
from domain.text import writable
from parsing.limits import MAX_HEADING, MAX_TITLE, ParseLimits
from parsing.progress import OnPage

log = structlog.get_logger("parser")

CHILD = Path(__file__).with_name("child.py")
_LONGEST_LINE = 1 << 18
"""The most bytes on a line: a piece of text may take six bytes for each character."""
_CODES = frozenset(code for code in ERRORS if code.startswith("document")) - {"documents_unconfined"}
_TOO_LONG = "Reading the document takes longer than this server allows. Split it, or save it in a simpler format."


class Parser:
    """Reads documents, each in a child process that runs `program`. Callers limit how many are read at once.

    With `fully`, nothing is read if the child cannot be confined to its document; `lacking` returns what this system
    would need for that.
    """

    def __init__(
        self,
        limits: ParseLimits | None = None,
        *,
        program: Path = CHILD,
        fully: bool = True,
        lacking: Callable[[], list[str]] = lacking,
    ) -> None:
        self._limits = limits or ParseLimits()
        self._fully = fully
        self._lacking = lacking
        self._refuses: bool | None = None
        self._program = Program(program, writes_bytecode=False)  # it may not write any file
        self._confined_by: list[str] | None = None

    def refuses(self) -> bool:
        """Whether no document is read here. The log says once what this system lacks to confine a child."""
        if self._refuses is None:
            lacks = self._lacking()
            self._refuses = self._fully and bool(lacks)
            if self._refuses:
                log.error("no documents are read: what reads them cannot be confined here", lacking=lacks)
            elif lacks:
                log.warning("what reads documents is not fully confined here", lacking=lacks)
        return self._refuses

    async def parse(self, content: bytes, name: str, on_page: OnPage | None = None) -> Parsed:
        """The document's text. Its content decides which kind it is; the name only decides between kinds of text.

        Raises `document_unsupported`, `document_broken`, `document_encrypted`, `document_too_complex`,
        `document_empty`, `document_crashed`, `documents_not_installed` or `documents_unconfined`.
        """
        child = await spawn(self._program, longest_line=_LONGEST_LINE)
        try:
            async with asyncio.timeout(self._limits.wall_seconds):
                return await self._converse(child, content, name, on_page)
        except TimeoutError:
            log.info("document took too long", seconds=self._limits.wall_seconds)
            raise StreamForgeError("document_too_complex", _TOO_LONG) from None
        finally:
            await child.end()

    async def _converse(self, child: Child, content: bytes, name: str, on_page: OnPage | None) -> Parsed:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it ended early; its exit code says why
            await lines.send(child, name=writable(name), limits=dataclasses.asdict(self._limits), fully=self._fully)
            await child.feed(content)
            child.stdin.close()
        output = _Output(self._limits)
        first = True
        while True:
            try:
                fields = await lines.receive(child)
                if fields is None:
                    break
                page, parsed = output.take(fields)
                if first:  # of which the document knows nothing yet: later lines may be its own
                    first = False
                    self._check_confinement(fields.get("confined"))
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                log.warning("the parser wrote something invalid", error=type(error).__name__)
                raise StreamForgeError("document_crashed") from None
            if page is not None and on_page is not None:
                on_page(*page)
            if parsed is not None:
                return parsed
        code = await child.wait()
        log.warning("the parser broke off", exit_code=code)
        if sys.platform != "win32" and code == -signal.SIGXCPU:
            raise StreamForgeError("document_too_complex", _TOO_LONG)
        raise StreamForgeError("document_crashed")

    def _check_confinement(self, means: Any) -> None:
        """Log once what confines the children here; raises `documents_unconfined` if that is not enough."""
        found = [str(word)[:20] for word in means[:10]] if isinstance(means, list) else []
        if self._confined_by is None:
            self._confined_by = found
            log.info("documents are read in confinement", confined=found)
        if self._fully and not is_full(found):  # the kernel has promised more than it keeps
            self._refuses = True
            log.error("no documents are read: what reads them was not confined", confined=found)
            raise StreamForgeError("documents_unconfined")


class _Output:
    """The output of a child so far. All of it is checked, because a document may have taken over the child."""

    def __init__(self, limits: ParseLimits) -> None:
        self._limits = limits
        self._document: tuple[str, str | None, int | None] | None = None
        self._sections: list[tuple[int | None, str | None]] = []
        self._texts: list[list[str]] = []
        self._characters = 0
        self._pages = 0

    def take(self, fields: dict[str, Any]) -> tuple[tuple[int, int | None] | None, Parsed | None]:
        """The page that is done, if the line reports one, and the whole document if it is the last line.

        If the line reports an error, raises it. Raises ValueError, TypeError or LookupError if the line is invalid.
        """
        if "error" in fields:
            code = fields["error"] if fields["error"] in _CODES else "document_crashed"
            log.info("document not read", code=code, why=str(fields.get("why"))[:50])
            detail = writable(str(fields["detail"]))[:MAX_DETAIL] if code == fields["error"] else None
            raise StreamForgeError(code, detail)
        if "text" in fields:
            self._characters += len(fields["text"])
            if self._characters > self._limits.characters * 2:  # the child does not count empty lines between pieces
                raise ValueError("characters")
            self._texts[-1].append(writable(fields["text"]))
        elif "section" in fields:
            if len(self._sections) >= self._limits.sections:
                raise ValueError("sections")
            self._sections.append((_number(fields["section"]), _short(fields["heading"], MAX_HEADING * 3)))
            self._texts.append([])
        elif "document" in fields:
            media_type = writable(str(fields["document"]))[:100]
            self._document = media_type, _short(fields["title"], MAX_TITLE), _number(fields["pages"])
        elif "page" in fields:
            return self._page(fields["page"], fields["of"]), None
        elif "confined" not in fields:
            return None, self._whole(fields["end"])
        return None, None

    def _page(self, page: Any, of: Any) -> tuple[int, int | None]:
        self._pages += 1
        number = _number(page)
        if number is None or self._pages > self._limits.pages:
            raise ValueError("pages")
        return number, _number(of)

    def _whole(self, end: bool) -> Parsed:
        if not end or self._document is None:
            raise ValueError("end")
        media_type, title, pages = self._document
        sections = (
            Section("".join(text), page, heading)
            for text, (page, heading) in zip(self._texts, self._sections, strict=True)
        )
        return Parsed(media_type, tuple(sections), title, pages)


def _number(value: Any) -> int | None:
    """A number of pages that every log and database can hold."""
    if value is not None and (type(value) is not int or not 0 <= value < 2**31):
        raise ValueError("number")
    return value


def _short(text: str | None, length: int) -> str | None:
    return None if text is None else writable(text)[:length]
