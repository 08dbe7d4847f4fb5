"""Citations in an answer, `[1]` or `[1, 3]`, which refer by number to the passages that the model was given."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from domain.events import Delta, Event, Quoted, Retrieving

MARK = re.compile(r"\[([0-9]{1,3}(?:\s?,\s?[0-9]{1,3}){0,20})\]", re.ASCII)


class Mark(NamedTuple):
    """A reference to passage `number`. Its brackets span characters `start` to `end` of the text, `end` excluded."""

    number: int
    start: int
    end: int


def marks(text: str) -> Iterator[Mark]:
    """The references in the text, in order. `[1, 3]` yields two, with the same `start` and `end`."""
    for found in MARK.finditer(text):
        for number in found[1].split(","):
            yield Mark(int(number), found.start(), found.end())


def cited(events: Sequence[Event]) -> tuple[tuple[int, ...] | None, int]:
    """The numbers of the passages that the answer cites, sorted, and how many of its references match no passage.

    The numbers are `None`, and the count 0, if the answer was not asked to use documents.
    """
    if not any(isinstance(event, Retrieving) for event in events):
        return None, 0
    numbers = {event.number for event in events if isinstance(event, Quoted)}
    found = [mark.number for mark in marks("".join([event.text for event in events if isinstance(event, Delta)]))]
    return tuple(sorted(numbers.intersection(found))), sum(number not in numbers for number in found)


def shown(event: Quoted) -> dict[str, object]:
    """The passage as JSON for clients, without the fields that are `None`."""
    passage = {
        "number": event.number, "id": event.id, "document_id": event.document_id, "title": event.title,
        "page": event.page, "heading": event.heading, "score": event.score, "text": event.text,
    }  # fmt: skip
    return {name: value for name, value in passage.items() if value is not None}


def sources(events: Sequence[Event]) -> list[dict[str, Any]] | None:
    """The answer's passages, as stored with it: each as in `shown`, and `cited`, whether the answer refers to it.

    `None` if the answer was not asked to use documents; an empty list if nothing was found in them.
    """
    numbers, _ = cited(events)
    if numbers is None:
        return None
    return [{**shown(event), "cited": event.number in numbers} for event in events if isinstance(event, Quoted)]
