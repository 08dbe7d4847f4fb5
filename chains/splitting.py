"""Documents become pieces small enough to embed and to quote, by LangChain's text splitters.

Sections are never joined, so a piece has one page and one path of headings. Inside a section the text is cut where its
kind allows it best: between paragraphs, then lines, then sentences, then words; Markdown first between its own blocks.
Importing the splitters takes half a second and forty megabytes, and splitting takes computing: call this in a process
for such work, never in the server's.
"""

from functools import cache
from typing import TYPE_CHECKING

from domain.documents import Chunk, Parsed

if TYPE_CHECKING:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

BETWEEN = "\n\n"
"""What stands between two sections in the whole text."""

_SENTENCES = [r"(?<=[.!?…])\s+", r"(?<=[。！？])", r"(?<=[,;:])\s+", r"\s+", ""]
_TEXT = [r"\n\s*\n", r"\n", *_SENTENCES]
_MARKDOWN = [r"\n(?=#{1,6} )", r"(?<=```)\n", r"\n(?=(?:\*{3,}|-{3,}|_{3,})[ \t]*\n)", *_TEXT]


def whole_text(parsed: Parsed) -> str:
    """The text in which the offsets of pieces count."""
    return BETWEEN.join(section.text for section in parsed.sections)


def split(parsed: Parsed, size: int, overlap: int) -> list[Chunk]:
    """Pieces of at most `size` characters, in order; each begins with up to `overlap` characters of the one before.

    For each `whole_text(parsed)[chunk.start:chunk.end] == chunk.text`. Pieces of nothing but white space are left out.
    """
    chunks: list[Chunk] = []
    offset = told = 0
    for section in parsed.sections:
        for start, end in _pieces(section.text, parsed.media_type == "text/markdown", size, overlap):
            text = section.text[start:end].strip()
            begin = offset + section.text.index(text, start)
            if not text or begin + len(text) <= told:  # all of it was in the one before
                continue
            if chunks and chunks[-1].start >= begin:  # the one before is in this one: they differed in white space
                chunks.pop()
            told = begin + len(text)
            chunks.append(Chunk(len(chunks), text, begin, told, section.page, section.heading))
        offset += len(section.text) + len(BETWEEN)
    return chunks


def _pieces(text: str, markdown: bool, size: int, overlap: int) -> list[tuple[int, int]]:
    """Where the pieces begin and end.

    The splitter leaves a heading alone before a long paragraph, and the last line of a list after it. So it is asked
    for pieces an eighth smaller, and what is shorter than that eighth goes with its neighbour.
    """
    if len(text) <= size:
        return [(0, len(text))]
    short = size // 8
    target = size - short
    found: list[tuple[int, int]] = []
    start = end = 0
    for piece in _splitter(markdown, target, min(overlap, target // 2)).split_text(text):
        # Pieces leave no gap, so this one begins at the end of the last or before; of places alike, the last will do.
        start = text.rfind(piece, start, end + len(piece))
        end = start + len(piece)
        before, last = found[-1] if found else (0, 0)
        if found and min(end - start, last - before) <= short and end - before <= size:
            found[-1] = before, end
        else:
            found.append((start, end))
    return found


@cache
def _splitter(markdown: bool, size: int, overlap: int) -> "RecursiveCharacterTextSplitter":
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    return RecursiveCharacterTextSplitter(
        separators=_MARKDOWN if markdown else _TEXT,
        is_separator_regex=True,
        keep_separator="end",
        chunk_size=size,
        chunk_overlap=overlap,
        strip_whitespace=False,  # so that pieces follow upon each other, and are found where they are
    )
