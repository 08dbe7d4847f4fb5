"""Where a stream's words come from: one protocol, whatever answers.

The simulated responder and the failover between models are answerers; grounding is an answerer around another one. A
new one, such as an agent, can be added in the same way: it takes an answerer and is one.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from domain.catalogue import ModelEntry
from domain.documents import Retrieval
from domain.events import Quoted, Retrieving, Retrying, Said, Stalled, Switched
from domain.models import Finished
from domain.streams import Ask
from domain.usage import Usage
from services.accounts.metering import Meter

Source = AsyncGenerator[Said | Quoted | Retrieving | Retrying | Switched | Usage | Finished, None]
"""The events of one answer. It ends with `Finished`, or raises the `StreamForgeError` that the stream fails with."""


class Telling(Protocol):
    """Writes an event of a stream while its source waits for a model, and so cannot yield it."""

    async def __call__(self, event: Stalled) -> None: ...


@dataclass(frozen=True, slots=True)
class Run:
    """One stream that is being answered: for whom, by which models in turn, from which documents, on which account."""

    owner: str
    candidates: list[ModelEntry]
    meter: Meter
    telling: Telling
    retrieval: Retrieval | None = None

    @property
    def first(self) -> ModelEntry:
        """The model that is asked first."""
        return self.candidates[0]

    @property
    def certain(self) -> bool:
        """Whether the first word comes at once and without fail: nothing is looked for, and no model is asked."""
        return self.retrieval is None and self.first.simulated


class Answerer(Protocol):
    """Answers what is asked."""

    def answer(self, ask: Ask, run: Run) -> Source:
        """The answer's events; nothing is done before the first is asked for."""
