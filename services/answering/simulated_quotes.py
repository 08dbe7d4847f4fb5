"""The simulated responder's answers from documents: the best sentences as quotes, each with its passage's mark."""

import re
from collections.abc import Sequence

from domain.citations import MARK
from domain.documents import Passage
from domain.text import is_unspaced, words_of

NOTHING_FOUND = "I found nothing about this in the documents."

_MOST_PASSAGES = 3
_MOST_CHARS = 300
_SENTENCE = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\n{2,}")
_WITHOUT_SPACE = ("。", "！", "？")
"""Ends of sentences that the next sentence follows without a space."""


def extract(question: str, passages: Sequence[Passage]) -> str:
    """An answer that only quotes the passages."""
    quotes = [f"\u201c{_best(question, passage.text)}\u201d [{n}]" for n, passage in enumerate(passages, 1)]
    return "\n\n".join(quotes[:_MOST_PASSAGES]) if quotes else NOTHING_FOUND


def _best(question: str, text: str) -> str:
    """The sentence with most of the question's words, and the ones after it as far as they fit."""
    wanted = _telling(question)
    sentences = [_unmarked(each) for each in _SENTENCE.split(text) if each.strip()]
    counts = [len(wanted & _telling(sentence)) for sentence in sentences]
    first = counts.index(max(counts))
    quote = sentences[first]
    for sentence in sentences[first + 1 :]:
        if len(quote) + len(sentence) >= _MOST_CHARS:
            break
        quote += sentence if quote.endswith(_WITHOUT_SPACE) else f" {sentence}"
    quote = _unmarked(quote)
    return quote if len(quote) <= _MOST_CHARS else f"{quote[: _MOST_CHARS - 1].rsplit(' ', 1)[0]}\u2026"


def _telling(text: str) -> set[str]:
    """The words of the text, without the short ones that every text has."""
    return {word for word in words_of(text) if len(word) > 2 or is_unspaced(word)}


def _unmarked(text: str) -> str:
    """The text on one line, without the document's own `[1]`: repeated, as removing one mark can make another."""
    text = " ".join(text.split())
    while (without := MARK.sub("", text)) != text:
        text = " ".join(without.split())
    return text
