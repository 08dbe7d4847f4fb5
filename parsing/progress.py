"""The callback that reports the progress of reading a document."""

from collections.abc import Callable

OnPage = Callable[[int, int | None], None]
"""Called with the number of each page that is done, and the number of all pages, if that is known."""
