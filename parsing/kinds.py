"""Recognises the kind of a document. The content decides, never a header; the name only decides between kinds of text
that look alike."""

import csv
import json
import re
from collections import Counter
from typing import Any, Literal

from domain.errors import StreamForgeError

TextKind = Literal["text/plain", "text/markdown", "text/html", "text/csv", "application/json"]

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_DOCX = "Only Word documents (.docx) of this family can be read."
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"{\\rtf", "RTF cannot be read. Save it as .docx or PDF."),
    (b"%!PS", "PostScript cannot be read. Save it as PDF."),
    (b"\x1f\x8b", "Archives cannot be read. Unpack it and upload what is inside."),
    (b"7z\xbc\xaf", "Archives cannot be read. Unpack it and upload what is inside."),
    (b"Rar!", "Archives cannot be read. Unpack it and upload what is inside."),
    (b"\x89PNG", "Pictures cannot be read. Upload their text."),
    (b"\xff\xd8\xff", "Pictures cannot be read. Upload their text."),
    (b"GIF8", "Pictures cannot be read. Upload their text."),
)


def binary_kind(content: bytes) -> Literal["pdf", "zip"] | None:
    """`pdf`, `zip` for any ZIP archive, or `None` for bytes that may be text; raises if no format of ours fits."""
    if b"%PDF-" in content[:1024]:
        return "pdf"
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if content.startswith(_OLE):
        if "EncryptedPackage".encode("utf-16-le") in content:
            raise StreamForgeError("document_encrypted")
        raise StreamForgeError("document_unsupported", "Old Office files cannot be read. Save it as .docx or PDF.")
    for magic, sentence in _FOREIGN:
        if content.startswith(magic):
            raise StreamForgeError("document_unsupported", sentence)
    return None


# Elements that only an HTML document can begin with, and elements that Markdown may begin with as well.
_PROLOGUE = re.compile(r"(?:\s++|<!--.{0,20000}?-->|<\?xml.{0,500}?\?>)*+", re.S)
_DOCUMENT = re.compile(r"<(?:!doctype\s+html|html|head|body)\b", re.I)
_FRAGMENT = re.compile(
    r"<(?:article|main|section|div|p|h[1-6]|table|ul|ol|title|meta|style|script|span|a|b)\b[^<]*>", re.I
)
_CLOSING = re.compile(r"</[a-zA-Z][\w-]*\s*>")

_MARKDOWN = (
    re.compile(r"(?m)^ {0,3}#{1,6} \S"),
    re.compile(r"(?m)^ {0,3}(?:```|~~~)"),
    re.compile(r"\[[^\]\n]{1,200}\]\([^)\s]{1,500}\)"),
    re.compile(r"(?m)^[^\n]{1,200}\n(?:={3,}|-{3,})[ \t]*$"),
    re.compile(r"(?m)^\|?[ \t]*:?-{3,}:?[ \t]*\|[-|: \t]*$"),
    re.compile(r"(?<![\w*])\*\*[^\s*][^*\n]{0,200}\*\*(?![\w*])"),
    re.compile(r"(?m)^ {0,3}[-*] \[[ xX]\] "),
)
_SAMPLE = 50_000


def text_kind(text: str, name: str) -> tuple[TextKind, Any]:
    """The kind of text, with the parsed value for JSON and the delimiter for a table.

    JSON is text that parses as an object or a list. HTML begins like a document, or begins like a fragment and is full
    of tags. CSV has the same number of columns in all its rows. Markdown has three of its features (headings, fences,
    links, underlines, tables, bold, tasks). With fewer the name decides; if it decides nothing, two are enough.
    """
    suffix = name.lower().rpartition(".")[2] if "." in name else ""
    value = _json(text)
    if value is not None:
        return "application/json", value
    if _is_html(text, suffix):
        return "text/html", None
    signs = sum(1 for sign in _MARKDOWN if sign.search(text[:_SAMPLE]))
    if suffix in ("md", "markdown", "mdx", "mkd") or (signs >= 3 and suffix not in ("csv", "tsv")):
        return "text/markdown", None
    if delimiter := dialect(text, suffix):
        return "text/csv", delimiter
    named = suffix in ("txt", "text", "log", "rst", "py", "ini", "cfg", "csv", "tsv")
    return ("text/markdown" if signs >= 2 and not named else "text/plain"), None


def _json(text: str) -> Any:
    """The value of a JSON document, or a list of the values of JSON lines; `None` for anything else."""
    start = text.lstrip()[:1]
    if start not in ("{", "["):
        return None
    try:
        return json.loads(text, parse_int=str, parse_float=str)
    except ValueError:
        pass
    except RecursionError:
        raise StreamForgeError("document_too_complex", "The JSON is nested too deeply. Flatten it.") from None
    if start == "[":
        return None
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) < 2 or not all(line.lstrip().startswith("{") for line in lines):
        return None
    try:
        return [json.loads(line, parse_int=str, parse_float=str) for line in lines]
    except ValueError:
        return None
    except RecursionError:
        raise StreamForgeError("document_too_complex", "The JSON is nested too deeply. Flatten it.") from None


def _is_html(text: str, suffix: str) -> bool:
    prologue = _PROLOGUE.match(text)
    start = prologue.end() if prologue else 0
    if _DOCUMENT.match(text, start):
        return True
    if suffix in ("md", "markdown", "mdx", "mkd", "txt") or not _FRAGMENT.match(text, start):
        return False
    sample = text[start : start + _SAMPLE]
    return suffix in ("html", "htm", "xhtml") or len(_CLOSING.findall(sample)) * 200 > len(sample)


def dialect(text: str, suffix: str) -> str | None:
    """The delimiter of a table in text; `None` if the text is not a table.

    If the file's name says that it is a table, two rows are enough. If not, three are needed, and no cell may read like
    a sentence. Numbers and notes contain commas, so of several delimiters the one that most rows agree on is used.
    """
    named = suffix in ("csv", "tsv")
    if suffix in ("txt", "text", "md", "log", "rst", "py"):
        return None
    lines = text[:_SAMPLE].split("\n")
    if len(text) > _SAMPLE:
        lines = lines[:-1]
    found: dict[str, float] = {}
    for delimiter in ("\t", ",", ";", "|") if suffix == "tsv" else (",", ";", "\t", "|"):
        rows = _rows(lines, delimiter)
        if len(rows) < (2 if named else 3):
            continue
        (width, agree), *_ = Counter(map(len, rows)).most_common()
        if width > 1 and (named or (agree == len(rows) and not any(_is_prose(cell) for row in rows for cell in row))):
            found[delimiter] = agree / len(rows)
    return max(found, key=lambda each: found[each], default=None)


def _rows(lines: list[str], delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        for row in csv.reader(lines, delimiter=delimiter):
            if row:
                rows.append(row)
            if len(rows) == 50:
                break
    except csv.Error:
        return []
    return rows


def _is_prose(cell: str) -> bool:
    return len(cell) > 200 or (cell.count(" ") > 1 and cell.rstrip().endswith((".", "!", "?", ":")))
