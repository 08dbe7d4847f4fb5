"""Reads Word documents with python-docx: paragraphs, lists and tables under their headings."""

from collections.abc import Iterator
from typing import Any

from docx import Document
from docx.oxml.ns import qn

from domain.documents import Parsed
from domain.errors import StreamForgeError
from parsing.archives import entries, vetted
from parsing.limits import MAX_TITLE, ParseLimits
from parsing.outline import Outline, shortened

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_OTHERS = {
    "xl/workbook.xml": "Spreadsheets cannot be read. Save it as CSV.",
    "ppt/presentation.xml": "Presentations cannot be read. Save it as PDF.",
    "content.xml": "OpenDocument cannot be read. Save it as .docx or PDF.",
    "META-INF/container.xml": "EPUB cannot be read. Save it as PDF or HTML.",
}
_P, _TBL, _TR, _TC = map(qn, ("w:p", "w:tbl", "w:tr", "w:tc"))
_TEXT, _TAB = qn("w:t"), qn("w:tab")
_BREAKS = frozenset((qn("w:br"), qn("w:cr")))
_VAL, _HYPHEN = qn("w:val"), qn("w:noBreakHyphen")
_TITLE = -1
"""The level of a paragraph in the title style."""
# A second copy of the text for old readers, and elements that Word does not show as text of the paragraph.
_SKIPPED = frozenset(
    (
        "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
        *map(qn, ("w:pPr", "w:rPr", "w:del", "w:moveFrom")),
    )
)
_THROUGH = frozenset(map(qn, ("w:sdt", "w:sdtContent", "w:customXml", "w:ins", "w:moveTo")))


def read_docx(content: bytes, limits: ParseLimits) -> Parsed:
    """The document's sections. Paragraphs with a heading style of Word's, in any language, or an outline level are
    headings."""
    names = entries(content)
    if not any(name.startswith("word/") for name in names):
        raise _unsupported(names)
    plain = vetted(content, limits)
    try:
        document = Document(plain)
    except (KeyError, ValueError, SyntaxError):  # a part is missing, is of another kind, or is not XML
        raise StreamForgeError("document_broken") from None
    outline, levels, named = Outline(limits), _levels(document), ""
    for block in _children(document.element.body, _P, _TBL):
        if block.tag == _TBL:
            outline.text("\n".join(_rows(block)))
            continue
        words = _words(block).strip()
        level = _level(block, levels)
        if level == _TITLE:
            named = named or words
            outline.text(words)
        elif level:
            outline.heading(level, words, words)
        elif words:
            outline.text(f"- {words}" if block.find(f"{qn('w:pPr')}/{qn('w:numPr')}") is not None else words)
    sections = outline.sections()
    title = shortened(_title(document) or named, MAX_TITLE) or outline.first_heading
    return Parsed(MEDIA_TYPE, sections, title)


def _unsupported(names: frozenset[str]) -> StreamForgeError:
    for name, sentence in _OTHERS.items():
        if name in names:
            return StreamForgeError("document_unsupported", sentence)
    return StreamForgeError("document_unsupported", "Archives cannot be read. Unpack it and upload what is inside.")


def _title(document: Any) -> str:
    try:
        return document.core_properties.title or ""
    except (KeyError, ValueError, SyntaxError):
        return ""


def _children(parent: Any, *tags: str) -> Iterator[Any]:
    """The children with these tags, in order, including those in content controls and tracked insertions."""
    stack = [iter(parent)]
    while stack:
        for child in stack[-1]:
            if child.tag in tags:
                yield child
            elif child.tag in _THROUGH:
                stack.append(iter(child))
                break
        else:
            stack.pop()


def _words(paragraph: Any) -> str:
    pieces: list[str] = []
    stack = [iter(paragraph)]
    while stack:
        for child in stack[-1]:
            tag = child.tag
            if tag == _TEXT:
                pieces.append(child.text or "")
            elif tag == _TAB:
                pieces.append("\t")
            elif tag in _BREAKS:
                pieces.append("\n")
            elif tag == _HYPHEN:
                pieces.append("-")
            elif tag == _P:
                pieces.append("\n")  # a text box
                stack.append(iter(child))
                break
            elif tag not in _SKIPPED and len(child):
                stack.append(iter(child))
                break
        else:
            stack.pop()
    return "".join(pieces)


def _rows(table: Any) -> Iterator[str]:
    for row in _children(table, _TR):
        cells = (" ".join(" ".join(_words(p) for p in cell.iter(_P)).split()) for cell in _children(row, _TC))
        line = " | ".join(cells)
        if line.strip(" |"):
            yield line


def _levels(document: Any) -> dict[str, int]:
    """The heading level of each style, by its id. Styles are recognised by name: Word translates ids, but not names."""
    levels: dict[str, int] = {}
    for style in document.styles.element.iterchildren(qn("w:style")):
        name = style.find(qn("w:name"))
        found = str(name.get(_VAL) or "").lower() if name is not None else ""
        outlined = style.find(f"{qn('w:pPr')}/{qn('w:outlineLvl')}")
        level = _number(found.removeprefix("heading ")) if found.startswith("heading ") else 0
        if found == "title":
            level = _TITLE
        elif not level and outlined is not None:
            level = _number(outlined.get(_VAL), 1)
        if level:
            levels[style.get(qn("w:styleId")) or ""] = level
    return levels


def _level(paragraph: Any, levels: dict[str, int]) -> int:
    style = paragraph.find(f"{qn('w:pPr')}/{qn('w:pStyle')}")
    if style is not None and (level := levels.get(style.get(_VAL) or "")):
        return level
    outlined = paragraph.find(f"{qn('w:pPr')}/{qn('w:outlineLvl')}")
    return _number(outlined.get(_VAL), 1) if outlined is not None else 0


def _number(text: str | None, more: int = 0) -> int:
    """A level from 1 to 9, or 0."""
    number = int(text) + more if text and text.isascii() and text.isdigit() and len(text) < 3 else 0
    return number if number <= 9 else 0
