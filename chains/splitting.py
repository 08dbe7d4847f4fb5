"""Splits documents into pieces small enough to embed and to quote, with LangChain's text splitters.

Sections are never joined, so a piece has one page and one path of headings. Within a section the text is cut between
paragraphs if possible, else between lines, sentences or words; Markdown is cut between its own blocks first.
Importing the splitters takes half a second and forty megabytes, and splitting is CPU work: call this in a worker
process, never in the server's.
"""

from functools import cache
from typing import TYPE_CHECKING

from domain.documents import Chunk, Parsed

if TYPE_CHECKING:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

BETWEEN = "\n\n"
"""The text between two sections in the whole text."""

_SENTENCES = [r"(?<=[.!?…])\s+", r"(?<=[。！？])", r"(?<=[,;:])\s+", r"\s+", ""]
_TEXT = [r"\n\s*\n", r"\n", *_SENTENCES]
_MARKDOWN = [r"\n(?=#{1,6} )", r"(?<=```)\n", r"\n(?=(?:\*{3,}|-{3,}|_{3,})[ \t]*\n)", *_TEXT]


def whole_text(parsed: Parsed) -> str:
    """The text to which the offsets of pieces refer."""
    return BETWEEN.join(section.text for section in parsed.sections)


def split(parsed: Parsed, size: int, overlap: int) -> list[Chunk]:
    """Pieces of at most `size` characters, in order; each begins with up to `overlap` characters of the one before.

    For each, `whole_text(parsed)[chunk.start:chunk.end] == chunk.text`. Pieces of white space only are left out.
    """
    chunks: list[Chunk] = []
    offset = covered = 0
    for section in parsed.sections:
        for start, end in _pieces(section.text, parsed.media_type == "text/markdown", size, overlap):
            text = section.text[start:end].strip()
            begin = offset + section.text.index(text, start)
            if not text or begin + len(text) <= covered:  # the previous piece contains all of it
                continue
            if chunks and chunks[-1].start >= begin:  # it contains the previous piece: they differed in white space
                chunks.pop()
            covered = begin + len(text)
            chunks.append(Chunk(len(chunks), text, begin, covered, section.page, section.heading))
        offset += len(section.text) + len(BETWEEN)
    return chunks


def _pieces(text: str, markdown: bool, size: int, overlap: int) -> list[tuple[int, int]]:
    """The start and end of each piece.

    The splitter makes a piece of its own from a heading before a long paragraph, and from the last line of a list. So
    it is asked for pieces an eighth smaller, and pieces shorter than that eighth are joined to their neighbour.
    """
    if len(text) <= size:
        return [(0, len(text))]
    short = size // 8
    target = size - short
    found: list[tuple[int, int]] = []
    start = end = 0
    for piece in _splitter(markdown, target, min(overlap, target // 2)).split_text(text):
        # There are no gaps, so a piece starts where the last one ends, or earlier; of several matches, take the last.
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
        strip_whitespace=False,  # so that pieces are contiguous, and can be found in the text
    )
