"""Documents are read in a process of their own each, so that what goes wrong there ends one document and no more.

The process gets an empty environment and gives up whatever reading does not need (`children.confinement`). Here it is
watched: its clock runs, its words are counted and believed only in the form that they must have, and when it is done
or must be, its whole group is killed.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from domain.documents import MAX_DETAIL, Parsed, Section
from domain.errors import ERRORS, StreamForgeError
from domain.events import writable
from parsing.limits import MAX_HEADING, MAX_TITLE, ParseLimits

log = structlog.get_logger("parser")

CHILD = Path(__file__).with_name("child.py")
_LINE = 1 << 18
"""Bytes, at the most, of one line: the text of one may take six bytes a character."""
_PIECE = 1 << 16
_LAST_WORDS = 5.0
_CODES = frozenset(code for code in ERRORS if code.startswith("document"))
_TOO_LONG = "Reading the document takes longer than this server allows. Split it, or save it in a simpler format."

OnPage = Callable[[int, int | None], None]


class Parser:
    """Reads documents, each in a child process; how many at once is the caller's to bound.

    `program` is what runs there.
    """

    def __init__(self, limits: ParseLimits | None = None, *, program: Path = CHILD) -> None:
        self._limits = limits or ParseLimits()
        self._program = program
        self._had: list[str] | None = None

    async def parse(self, content: bytes, name: str, on_page: OnPage | None = None) -> Parsed:
        """What is in the document; its kind is told from its content, and from its name only where texts look alike.

        `on_page` hears the number of each page that is done, and how many there are. Raises `document_unsupported`,
        `document_broken`, `document_encrypted`, `document_too_complex`, `document_empty`, `document_crashed` or
        `documents_not_installed`.
        """
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-B", str(self._program)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # libraries quote documents there
            env={"SYSTEMROOT": os.environ.get("SYSTEMROOT", "")} if sys.platform == "win32" else {},
            start_new_session=True,
            limit=_LINE,
        )
        try:
            async with asyncio.timeout(self._limits.wall_seconds):
                return await self._converse(child, content, name, on_page)
        except TimeoutError:
            log.info("document took too long", seconds=self._limits.wall_seconds)
            raise StreamForgeError("document_too_complex", _TOO_LONG) from None
        finally:
            await _end(child)

    async def _converse(
        self, child: asyncio.subprocess.Process, content: bytes, name: str, on_page: OnPage | None
    ) -> Parsed:
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has ended early, and its end says why
            await self._feed(child.stdin, content, name)
        heard = _Heard(self._limits)
        while True:
            try:
                line = await child.stdout.readline()
                if not line:
                    break
                said = json.loads(line)
                page, parsed = heard.take(said)
                if "had" in said:
                    self._note(said["had"])
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                log.warning("the parser said what it must not", error=type(error).__name__)
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

    async def _feed(self, stdin: asyncio.StreamWriter, content: bytes, name: str) -> None:
        asked = {"name": writable(name), "limits": dataclasses.asdict(self._limits)}
        stdin.write(json.dumps(asked).encode() + b"\n")
        view = memoryview(content)
        for start in range(0, len(content), _PIECE):
            stdin.write(view[start : start + _PIECE])
            await stdin.drain()
        stdin.close()

    def _note(self, had: list[str]) -> None:
        """Say once what keeps the children in on this system."""
        if self._had is None:
            self._had = [str(word)[:20] for word in had[:10]]
            log.info("documents are read apart", confined=self._had)


class _Heard:
    """What a child has said so far. Nothing of it is believed: a document may have made it say anything."""

    def __init__(self, limits: ParseLimits) -> None:
        self._limits = limits
        self._document: tuple[str, str | None, int | None] | None = None
        self._sections: list[tuple[int | None, str | None]] = []
        self._texts: list[list[str]] = []
        self._characters = 0
        self._pages = 0

    def take(self, said: dict[str, Any]) -> tuple[tuple[int, int | None] | None, Parsed | None]:
        """A page that is done, and the whole once it is there.

        Raises the error that the child tells; ValueError, TypeError or LookupError where it tells nonsense.
        """
        if "error" in said:
            code = said["error"] if said["error"] in _CODES else "document_crashed"
            log.info("document not read", code=code, why=str(said.get("why"))[:50])
            detail = writable(str(said["detail"]))[:MAX_DETAIL] if code == said["error"] else None
            raise StreamForgeError(code, detail)
        if "text" in said:
            self._characters += len(said["text"])
            if self._characters > self._limits.characters * 2:  # empty lines between the pieces are not in its count
                raise ValueError("characters")
            self._texts[-1].append(writable(said["text"]))
        elif "section" in said:
            if len(self._sections) >= self._limits.sections or not isinstance(said["section"], int | None):
                raise ValueError("sections")
            self._sections.append((said["section"], _short(said["heading"], MAX_HEADING * 3)))
            self._texts.append([])
        elif "document" in said:
            if not isinstance(said["pages"], int | None):
                raise ValueError("pages")
            self._document = str(said["document"])[:100], _short(said["title"], MAX_TITLE), said["pages"]
        elif "page" in said:
            return self._page(said["page"], said["of"]), None
        elif "had" not in said:
            return None, self._whole(said["end"])
        return None, None

    def _page(self, page: int, of: int | None) -> tuple[int, int | None]:
        self._pages += 1
        if not (isinstance(page, int) and isinstance(of, int | None)) or self._pages > self._limits.pages:
            raise ValueError("pages")
        return page, of

    def _whole(self, end: bool) -> Parsed:
        if not end or self._document is None:
            raise ValueError("end")
        media_type, title, pages = self._document
        sections = (
            Section("".join(text), page, heading)
            for text, (page, heading) in zip(self._texts, self._sections, strict=True)
        )
        return Parsed(media_type, tuple(sections), title, pages)


def _short(text: str | None, length: int) -> str | None:
    return None if text is None else writable(text)[:length]


async def _end(child: asyncio.subprocess.Process) -> None:
    """Kill the child with all that it may have started, and wait until it is no more."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WORDS):
            await child.wait()
