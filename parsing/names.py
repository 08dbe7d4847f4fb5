"""Cleans the names of uploaded files, which are shown and sent in headers, but never used as paths."""

import re
import unicodedata

from domain.documents import MAX_NAME
from domain.text import writable

# Path separators, and invisible characters: controls, line ends, and marks that change the direction of writing.
_NOT_IN_NAMES = re.compile("[/\\\\\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def tidy_name(name: str) -> str:
    """The last part of a path, composed (NFC), without invisible characters, and at most `MAX_NAME` long.

    If nothing is left, it is `document`. A name that is too long keeps its extension, if that is short.
    """
    last = re.split(r"[/\\]", writable(name))[-1]
    tidy = _NOT_IN_NAMES.sub("", unicodedata.normalize("NFC", last)).strip().strip(".").strip() or "document"
    if len(tidy) <= MAX_NAME:
        return tidy
    stem, dot, ending = tidy.rpartition(".")
    if not dot or len(ending) > 10:
        return tidy[:MAX_NAME].rstrip(" .")
    return stem[: MAX_NAME - len(ending) - 1].rstrip(" .") + dot + ending
