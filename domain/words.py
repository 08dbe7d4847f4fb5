"""Splits a text into words, in scripts with spaces between words and in scripts without."""

import re
from collections.abc import Iterator

_NO_SPACES = "\u0e00-\u109f\u1780-\u17ff\u2e80-\U0003ffff"
_RUN = re.compile(r"[^\W_]+")
_PART = re.compile(f"[{_NO_SPACES}]+|[^{_NO_SPACES}]+")
UNSPACED = re.compile(f"[{_NO_SPACES}]")
"""A character of a script without spaces between words."""

COMMON = {
    "a", "about", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do", "does",
    "for", "from", "had", "has", "have", "how", "i", "if", "in", "is", "it", "its", "me", "my", "of", "on", "or",
    "our", "should", "so", "some", "than", "that", "the", "their", "them", "there", "these", "they", "this",
    "those", "to", "was", "we", "were", "what", "when", "where", "which", "who", "whom", "why", "will", "with",
    "would", "you", "your",
}  # fmt: skip
"""Words too frequent to search for. PostgreSQL has its own list, so leaving these out changes nothing there."""


def words_of(text: str) -> Iterator[str]:
    """Lower-case words, in order; for scripts without spaces, each pair of adjacent characters."""
    for run in _RUN.findall(text.lower()):
        for part in _PART.findall(run):
            if UNSPACED.match(part):
                yield from (part[at : at + 2] for at in range(max(len(part) - 1, 1)))
            else:
                yield part
