"""Reads plain text, as one section."""

from domain.documents import Parsed
from parsing.limits import ParseLimits
from parsing.outline import Outline


def read_plain(text: str, limits: ParseLimits) -> Parsed:
    """The unchanged text, but with empty lines for form feeds."""
    outline = Outline(limits)
    outline.text(text.replace("\f", "\n\n"))
    return Parsed("text/plain", outline.sections())
