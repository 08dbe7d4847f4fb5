"""Words of a text, in scripts that put spaces between them and in those that do not."""

import re
from collections.abc import Iterator

_NO_SPACES = "\u0e00-\u109f\u1780-\u17ff\u2e80-\U0003ffff"
_RUN = re.compile(r"[^\W_]+")
_PART = re.compile(f"[{_NO_SPACES}]+|[^{_NO_SPACES}]+")
UNSPACED = re.compile(f"[{_NO_SPACES}]")
"""A sign of a script that puts no space between words."""

COMMON = {
    "a", "about", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do", "does",
    "for", "from", "had", "has", "have", "how", "i", "if", "in", "is", "it", "its", "me", "my", "of", "on", "or",
    "our", "should", "so", "some", "than", "that", "the", "their", "them", "there", "these", "they", "this",
    "those", "to", "was", "we", "were", "what", "when", "where", "which", "who", "whom", "why", "will", "with",
    "would", "you", "your",
}  # fmt: skip
"""They are in most pieces, and say nothing. PostgreSQL has a list of its own, for which they change nothing."""


def words_of(text: str) -> Iterator[str]:
    """The words in small letters, in their order; where no spaces part them, each pair of signs that follow."""
    for run in _RUN.findall(text.lower()):
        for part in _PART.findall(run):
            if UNSPACED.match(part):
                yield from (part[at : at + 2] for at in range(max(len(part) - 1, 1)))
            else:
                yield part
