"""Collects the text of a document into sections, one for each heading or page."""

from unicodedata import normalize

from domain.documents import Section
from domain.errors import StreamForgeError
from domain.text import writable
from parsing.limits import MAX_HEADING, ParseLimits


def too_complex(sentence: str) -> StreamForgeError:
    """The error for a document beyond a limit; `sentence` names the limit."""
    return StreamForgeError("document_too_complex", sentence)


def shortened(text: str, length: int) -> str:
    """The text on one line, at most `length` characters long."""
    line = " ".join(text[: length * 4].split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def _composed(text: str) -> str:
    """The text in composed form (NFC), as questions are too, without characters that cannot be stored."""
    return normalize("NFC", writable(text))


class Outline:
    """Takes headings and text in reading order, and gives each section the headings above it.

    A heading that is followed directly by another one stays in the same section: a section of its own would have no
    text.
    """

    def __init__(self, limits: ParseLimits) -> None:
        self._limits = limits
        self._sections: list[Section] = []
        self._path: list[tuple[int, str]] = []
        self._parts: list[str] = []
        self._has_text = False
        self._characters = 0

    def heading(self, level: int, title: str, shown: str) -> None:
        """Add a heading of `level` 1 (the highest) to 9; `shown` is its form in the text.

        If the `title` is empty, for example because the line has only marks, it is added as text.
        """
        title = shortened(title, MAX_HEADING)
        if not title:
            self.text(shown)
            return
        if self._has_text:
            self.end()
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._path.append((level, title))
        self._take(shown)

    def text(self, text: str) -> None:
        """Add one or more paragraphs, separated from the previous text by an empty line."""
        if text and not text.isspace():
            self._take(text)
            self._has_text = True

    def end(self, page: int | None = None, heading: str | None = None) -> None:
        """End the section. `heading` is for formats whose headings are not part of their text."""
        whole = _composed("\n\n".join(self._parts)).strip("\n")
        self._parts, self._has_text = [], False
        if not whole.strip():
            return
        if len(self._sections) >= self._limits.sections:
            raise too_complex(f"The document has more than {self._limits.sections:,} sections. Split it.")
        path = shortened(_composed(heading or " > ".join(title for _, title in self._path)), MAX_HEADING * 3)
        self._sections.append(Section(whole, page, path or None))

    def sections(self) -> tuple[Section, ...]:
        """All sections, including the one that is still open."""
        self.end()
        return tuple(self._sections)

    @property
    def first_heading(self) -> str | None:
        """The first heading, which serves as the title of a document without one."""
        return next((section.heading.split(" > ")[0] for section in self._sections if section.heading), None)

    def _take(self, text: str) -> None:
        self._characters += len(text)
        if self._characters > self._limits.characters:
            limit = self._limits.characters
            raise too_complex(f"The document has more than {limit:,} characters of text. Split it.")
        self._parts.append(text.strip("\n"))
