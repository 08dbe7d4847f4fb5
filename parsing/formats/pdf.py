"""Reads PDF with PDFium: one section for each page, with its bookmark as the heading."""

import re
from typing import Any

import pypdfium2
from pypdfium2 import PdfDocument, PdfiumError

from domain.documents import Parsed
from domain.errors import StreamForgeError
from parsing.limits import MAX_HEADING, MAX_TITLE, ParseLimits
from parsing.outline import Outline, shortened, too_complex
from parsing.progress import OnPage

_BOOKMARKS = 5_000
_DEPTH = 6
# The characters that PDFium writes for a hyphen at the end of a line, and characters without a meaning.
_HYPHENATED = re.compile("[\x02\ufffe](?:\n)?")
_NONSENSE = re.compile("[\x00-\x08\x0b\x0e-\x1f\uffff\ufffe]")
_LEADERS = re.compile(r"(?:[ \t]?\.){6,}")  # as in tables of contents
_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\u00ad": ""}
)


def read_pdf(content: bytes, limits: ParseLimits, on_page: OnPage) -> Parsed:
    """The document's sections. Pages are numbered from 1, as a viewer counts them, not as printed on them."""
    try:
        document = PdfDocument(content)
    except PdfiumError as error:
        if error.err_code in (pypdfium2.raw.FPDF_ERR_PASSWORD, pypdfium2.raw.FPDF_ERR_SECURITY):
            raise StreamForgeError("document_encrypted") from None
        raise StreamForgeError("document_broken") from None
    pages = len(document)
    if pages > limits.pages:
        raise too_complex(f"The document has {pages:,} pages, and more than {limits.pages:,} are not read. Split it.")
    outline, broken = Outline(limits), 0
    headings = _headings(document, pages)
    for number in range(pages):
        try:
            outline.text(_page(document, number))
        except PdfiumError:
            broken += 1  # the other pages are still read
        outline.end(number + 1, headings[number])
        on_page(number + 1, pages)
    sections = outline.sections()
    if not sections and (broken or not pages):
        raise StreamForgeError("document_broken")
    if not sections:
        raise StreamForgeError(
            "document_empty", "There is no text in the PDF, only pictures. Have the text in them recognised first."
        )
    title = shortened(document.get_metadata_value("Title"), MAX_TITLE)
    return Parsed("application/pdf", sections, title or None, pages)


def _page(document: PdfDocument, number: int) -> str:
    page = document[number]
    try:
        words = page.get_textpage()
        try:
            text: str = words.get_text_bounded()
        finally:
            words.close()
    finally:
        page.close()
    text = _HYPHENATED.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _LEADERS.sub(" …", _NONSENSE.sub("", text).translate(_LIGATURES))
    return "\n".join(line.rstrip() for line in text.split("\n"))


def _headings(document: PdfDocument, pages: int) -> list[str | None]:
    """The heading of each page: the first bookmark that points to it, else the last one before it, with its parents."""
    first: dict[int, str] = {}
    last: dict[int, str] = {}
    path: list[str] = []
    try:
        for count, mark in enumerate(document.get_toc(max_depth=_DEPTH)):
            if count == _BOOKMARKS:
                break
            path[mark.level :] = [shortened(mark.get_title(), MAX_HEADING)]
            place: Any = mark.get_dest()
            page = place.get_index() if place else None
            if page is not None and all(path):
                first.setdefault(page, " > ".join(path))
                last[page] = " > ".join(path)
    except PdfiumError:
        pass
    headings: list[str | None] = []
    before: str | None = None
    for page in range(pages):
        headings.append(first.get(page, before))
        before = last.get(page, before)
    return headings
