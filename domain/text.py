"""Which characters a text may have, and its words, in scripts with spaces between words and in scripts without.

Processes that read documents import this, and little else.
"""

import re
from collections.abc import Iterator
from functools import cache

UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
"""Characters that no text of ours may contain: NUL and lone surrogates, which databases and JSON parsers refuse."""
_RUN = re.compile(r"[^\W_]+")
_UNSPACED = (("\u0e00", "\u109f"), ("\u1780", "\u17ff"), ("\u2e80", "\U0003ffff"))

COMMON = {
    "a", "about", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do", "does",
    "for", "from", "had", "has", "have", "how", "i", "if", "in", "is", "it", "its", "me", "my", "of", "on", "or",
    "our", "should", "so", "some", "than", "that", "the", "their", "them", "there", "these", "they", "this",
    "those", "to", "was", "we", "were", "what", "when", "where", "which", "who", "whom", "why", "will", "with",
    "would", "you", "your",
}  # fmt: skip
"""Words too frequent to search for. PostgreSQL has its own list, so leaving these out changes nothing there."""


def writable(text: str) -> str:
    """The text with each forbidden character replaced by U+FFFD."""
    return UNWRITABLE.sub("\ufffd", text)


def is_unspaced(word: str) -> bool:
    """Whether the word begins with a character of a script without spaces between words."""
    return any(first <= word[:1] <= last for first, last in _UNSPACED)


def words_of(text: str) -> Iterator[str]:
    """Lower-case words, in order; for scripts without spaces, each pair of adjacent characters."""
    for run in _RUN.findall(text.lower()):
        for part in [run] if run.isascii() else _parts().findall(run):
            if is_unspaced(part):
                yield from (part[at : at + 2] for at in range(max(len(part) - 1, 1)))
            else:
                yield part


@cache
def _parts() -> re.Pattern[str]:
    """Compiled on first use: sets of so many characters take longer than all other patterns of the program."""
    unspaced = "".join(f"{first}-{last}" for first, last in _UNSPACED)
    return re.compile(f"[{unspaced}]+|[^{unspaced}]+")
