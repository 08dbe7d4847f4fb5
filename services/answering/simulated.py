"""The simulated responder answers without a model, so that everything else can be tried and tested."""

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import lru_cache

from domain.events import Delta
from domain.models import Finished
from domain.streams import Ask
from services.answering.answerer import Run, Source
from services.answering.pacing import Pacer
from services.answering.simulated_quotes import extract

_WORDS = re.compile(r"\s*\S+\s*")


@lru_cache(maxsize=8)
def _words(text: str) -> tuple[Delta, ...]:
    return tuple(Delta(word) for word in _WORDS.findall(text))


async def generate_chunks(text: str, *, delay: float, pacer: Pacer) -> AsyncGenerator[Delta | Finished, None]:
    """Yields `text` word by word, `delay` seconds apart.

    Each word includes the white space after it, so that the words joined are the text.
    """
    begun = pacer.now()
    for number, word in enumerate(_words(text)):
        if delay and number:
            await pacer.until(begun + number * delay)  # counted from the start, so that delays do not add up
        yield word
    yield Finished("stop")


@dataclass(frozen=True, slots=True)
class Simulated:
    """The text of the simulated responder, and the seconds between its words."""

    text: str
    delay: float


class Responder:
    """Answers with its text or, if passages were found, with quotes that are close to the question."""

    def __init__(self, simulated: Simulated) -> None:
        self._simulated = simulated
        self._pacer = Pacer()

    def answer(self, ask: Ask, run: Run) -> Source:
        return self.say(ask)

    def say(self, ask: Ask) -> AsyncGenerator[Delta | Finished, None]:
        """The answer, word by word."""
        text = self._simulated.text if ask.passages is None else extract(ask.message, ask.passages)
        return generate_chunks(text, delay=self._simulated.delay, pacer=self._pacer)
