"""Makes the text of an answer storable.

A surrogate pair that the provider split over two chunks is joined; lone surrogates and NUL become U+FFFD, because
databases and JSON parsers cannot hold them. Nothing else is changed.
"""

import re

from domain.text import UNWRITABLE

_HIGH = re.compile(r"[\ud800-\udbff]\Z")


class Mender:
    """Repairs the text of one channel, chunk by chunk."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = ""
        """The first half of a surrogate pair."""

    def mend(self, text: str) -> str:
        """The text to pass on now. The first half of a pair at its end is held back."""
        if not text or (not self.held and not UNWRITABLE.search(text)):
            return text
        text = self.held + text
        half = _HIGH.search(text)
        self.held = half[0] if half else ""
        text = text.removesuffix(self.held).replace("\x00", "\ufffd")
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def rest(self) -> str:
        """U+FFFD for a half that is still held back at the end of the answer, else nothing."""
        return "\ufffd" if self.held else ""
