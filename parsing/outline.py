"""The text of a document as it comes, cut into sections wherever a heading or a page begins."""

from unicodedata import normalize

from domain.documents import Section
from domain.errors import StreamForgeError
from domain.events import writable
from parsing.limits import MAX_HEADING, ParseLimits


def too_complex(sentence: str) -> StreamForgeError:
    """The error of a document that goes beyond a limit; the sentence says which."""
    return StreamForgeError("document_too_complex", sentence)


def shortened(text: str, length: int) -> str:
    """The text on one line, cut where it is too long."""
    line = " ".join(text[: length * 4].split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def _composed(text: str) -> str:
    """The text as it can be stored, with letters and their accents in one: as questions are written."""
    return normalize("NFC", writable(text))


class Outline:
    """Takes headings and text in reading order, and knows which headings stand over which text.

    A heading that nothing follows but the next heading is kept with that one: alone it would be a section that says
    nothing.
    """

    def __init__(self, limits: ParseLimits) -> None:
        self._limits = limits
        self._sections: list[Section] = []
        self._path: list[tuple[int, str]] = []
        self._parts: list[str] = []
        self._spoken = False
        self._characters = 0

    def heading(self, level: int, title: str, shown: str) -> None:
        """A heading of `level` 1 (the highest) to 9; `shown` is what of it stands in the text.

        What is nothing but marks heads nothing, and is text.
        """
        title = shortened(title, MAX_HEADING)
        if not title:
            self.text(shown)
            return
        if self._spoken:
            self.end()
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._path.append((level, title))
        self._take(shown)

    def text(self, text: str) -> None:
        """A stretch of text that one or more empty lines part from what comes before."""
        if text and not text.isspace():
            self._take(text)
            self._spoken = True

    def end(self, page: int | None = None, heading: str | None = None) -> None:
        """The section is over. `heading` is for formats whose headings are not in their text."""
        whole = _composed("\n\n".join(self._parts)).strip("\n")
        self._parts, self._spoken = [], False
        if not whole.strip():
            return
        if len(self._sections) >= self._limits.sections:
            raise too_complex(f"The document has more than {self._limits.sections:,} sections. Split it.")
        path = shortened(_composed(heading or " > ".join(title for _, title in self._path)), MAX_HEADING * 3)
        self._sections.append(Section(whole, page, path or None))

    def sections(self) -> tuple[Section, ...]:
        """Everything, with what is still open."""
        self.end()
        return tuple(self._sections)

    @property
    def first_heading(self) -> str | None:
        """For documents without a title of their own."""
        return next((section.heading.split(" > ")[0] for section in self._sections if section.heading), None)

    def _take(self, text: str) -> None:
        self._characters += len(text)
        if self._characters > self._limits.characters:
            limit = self._limits.characters
            raise too_complex(f"The document has more than {limit:,} characters of text. Split it.")
        self._parts.append(text.strip("\n"))
