"""What the text of an answer is.

A surrogate pair that the provider split over two chunks is joined, a lone surrogate and NUL become U+FFFD (databases
and JSON parsers cannot hold them), and nothing else is changed.
"""

import re

from domain.events import UNWRITABLE

_HIGH = re.compile(r"[\ud800-\udbff]\Z")


class Mender:
    """Makes the text of one channel writable, piece by piece."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = ""
        """Half a surrogate pair."""

    def mend(self, text: str) -> str:
        """The next piece, as far as it is whole."""
        if not text or (not self.held and not UNWRITABLE.search(text)):
            return text
        text = self.held + text
        half = _HIGH.search(text)
        self.held = half[0] if half else ""
        text = text.removesuffix(self.held).replace("\x00", "\ufffd")
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def rest(self) -> str:
        """What is left once nothing more comes."""
        return "\ufffd" if self.held else ""
