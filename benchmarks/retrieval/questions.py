"""A retrieval benchmark made from Python's own documentation, as Debian's package `python3.11-doc` ships it.

Its FAQ has 171 real questions, each with its answer. A question's right passages are the pieces of its answer, which do
not contain the question itself. Among them are the pieces of the tutorial, the how-tos and the language reference. They
are similar enough to be mistaken for an answer, and now and then good enough to be one, which counts as a mistake.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.documents import Parsed, PieceKey, Section

FOLDERS = ("faq", "tutorial", "howto", "reference")
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_SHORTEST = 40  # characters; shorter sections only introduce others


@dataclass(frozen=True, slots=True)
class Page:
    """One page, and for each of its sections the question that it answers, if any."""

    name: str
    parsed: Parsed
    questions: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and the pieces of its answer."""

    text: str
    answers: frozenset[PieceKey]


def pages(folder: Path) -> list[Page]:
    """The pages of the documentation in this folder, which contains `faq` and the other parts."""
    return [_page(file, part) for part in FOLDERS for file in sorted((folder / part).glob("*.html"))]


def _page(file: Path, part: str) -> Page:
    found = [
        (Section(text, heading=None if part == "faq" else heading), heading)
        for heading, text in _sections(file)
        if len(text) >= _SHORTEST
    ]
    questions = tuple(heading if part == "faq" and heading.endswith("?") else None for _, heading in found)
    return Page(f"{part}/{file.name}", Parsed("text/html", tuple(section for section, _ in found)), questions)


def _sections(file: Path) -> Iterator[tuple[str, str]]:
    """The heading and the text of each section, without its subsections."""
    from lxml import html

    for section in html.fromstring(file.read_bytes()).iter("section"):
        heading, parts = "", []
        for child in section:
            if child.tag in _HEADINGS:
                heading = _line(child).removesuffix("¶").strip()
            elif child.tag not in ("section", "nav") and isinstance(child.tag, str):
                parts.append(_line(child) if child.tag == "p" else child.text_content().strip())
        yield heading, "\n\n".join(part for part in parts if part)


def _line(element: Any) -> str:
    return re.sub(r"\s+", " ", element.text_content()).strip()
