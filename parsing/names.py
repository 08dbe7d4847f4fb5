"""Names of documents: what an upload calls its file is shown and sent in headers, and is never a path."""

import re
import unicodedata

from domain.documents import MAX_NAME
from domain.events import writable

# Separators of paths, and what is not seen: controls, line ends, marks that turn the direction of writing.
_NOT_IN_NAMES = re.compile("[/\\\\\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def tidy_name(name: str) -> str:
    """The last part of a name, composed (NFC), without what is not seen, at most `MAX_NAME` characters; or `document`.

    A name that is too long keeps its ending, if it has a short one.
    """
    last = re.split(r"[/\\]", writable(name))[-1]
    tidy = _NOT_IN_NAMES.sub("", unicodedata.normalize("NFC", last)).strip().strip(".").strip() or "document"
    if len(tidy) <= MAX_NAME:
        return tidy
    stem, dot, ending = tidy.rpartition(".")
    if not dot or len(ending) > 10:
        return tidy[:MAX_NAME].rstrip(" .")
    return stem[: MAX_NAME - len(ending) - 1].rstrip(" .") + dot + ending
