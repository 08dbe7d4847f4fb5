"""Reads one document: turns its bytes into text. Only the module of `formats` for its kind is loaded."""

from domain.documents import Parsed
from domain.errors import StreamForgeError
from parsing.decoding import decode
from parsing.kinds import binary_kind, text_kind
from parsing.limits import ParseLimits
from parsing.outline import too_complex
from parsing.progress import OnPage


def read_document(content: bytes, name: str, limits: ParseLimits, on_page: OnPage) -> Parsed:
    """The document's text; raises StreamForgeError with a code that begins with `document`."""
    parsed = _read(content, name, limits, on_page)
    if not parsed.sections:
        raise StreamForgeError("document_empty")
    return parsed


def _read(content: bytes, name: str, limits: ParseLimits, on_page: OnPage) -> Parsed:
    if not content.strip():
        raise StreamForgeError("document_empty")
    kind = binary_kind(content)
    if kind == "pdf":
        from parsing.formats.pdf import read_pdf

        return read_pdf(content, limits, on_page)
    if kind == "zip":
        from parsing.formats.docx import read_docx

        return read_docx(content, limits)
    if len(content) > limits.inflated:
        raise too_complex("The document is larger than this server takes. Split it.")
    text = decode(content)
    if text is None:
        raise StreamForgeError("document_unsupported")
    return _read_text(text, name, limits)


def _read_text(text: str, name: str, limits: ParseLimits) -> Parsed:
    media_type, value = text_kind(text, name)
    if media_type == "text/html":
        from parsing.formats.html import read_html

        return read_html(text, limits)
    if media_type == "text/markdown":
        from parsing.formats.markdown import read_markdown

        return read_markdown(text, limits)
    if media_type == "application/json":
        from parsing.formats.tables import read_json

        return read_json(value, limits)
    if media_type == "text/csv":
        from parsing.formats.tables import read_csv

        return read_csv(text, value, limits)
    from parsing.formats.plain import read_plain

    return read_plain(text, limits)
