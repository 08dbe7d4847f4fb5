"""Words of a text, in scripts that put spaces between them and in those that do not."""

import re
from collections.abc import Iterator

_NO_SPACES = "\u0e00-\u109f\u1780-\u17ff\u2e80-\U0003ffff"
_RUN = re.compile(r"[^\W_]+")
_PART = re.compile(f"[{_NO_SPACES}]+|[^{_NO_SPACES}]+")
UNSPACED = re.compile(f"[{_NO_SPACES}]")
"""A sign of a script that puts no space between words."""


def words_of(text: str) -> Iterator[str]:
    """The words in small letters, in their order; where no spaces part them, each pair of signs that follow."""
    for run in _RUN.findall(text.lower()):
        for part in _PART.findall(run):
            if UNSPACED.match(part):
                yield from (part[at : at + 2] for at in range(max(len(part) - 1, 1)))
            else:
                yield part
