"""How the reading of a document tells its progress."""

from collections.abc import Callable

OnPage = Callable[[int, int | None], None]
"""Called with the number of each page that is done, and how many there are, if that is known."""
