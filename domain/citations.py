"""Marks in an answer, `[1]` or `[1, 3]`, that refer to the passages it was given."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from domain.events import Delta, Event, Quoted, Retrieving

MARK = re.compile(r"\[([0-9]{1,3}(?:\s?,\s?[0-9]{1,3}){0,20})\]", re.ASCII)


class Mark(NamedTuple):
    """A reference to passage `number`, in the mark from character `start` to `end` of the text."""

    number: int
    start: int
    end: int


def marks(text: str) -> Iterator[Mark]:
    """All marks of the text, in their order."""
    for found in MARK.finditer(text):
        for number in found[1].split(","):
            yield Mark(int(number), found.start(), found.end())


def cited(events: Sequence[Event]) -> tuple[tuple[int, ...] | None, int]:
    """The numbers of the passages that the answer refers to, and how often it refers to one that there is not.

    Nothing where the answer was not to lean on documents.
    """
    if not any(isinstance(event, Retrieving) for event in events):
        return None, 0
    numbers = {event.number for event in events if isinstance(event, Quoted)}
    found = [mark.number for mark in marks("".join([event.text for event in events if isinstance(event, Delta)]))]
    return tuple(sorted(numbers.intersection(found))), sum(number not in numbers for number in found)


def shown(event: Quoted) -> dict[str, object]:
    """A passage, as clients are shown it: what it does not have is absent."""
    passage = {
        "number": event.number, "id": event.id, "document_id": event.document_id, "title": event.title,
        "page": event.page, "heading": event.heading, "score": event.score, "text": event.text,
    }  # fmt: skip
    return {name: value for name, value in passage.items() if value is not None}


def sources(events: Sequence[Event]) -> list[dict[str, Any]] | None:
    """The passages that an answer was given, as they are kept with it: each also says whether the answer cites it.

    Nothing where the answer was not to lean on documents, and an empty list where nothing was found in them.
    """
    numbers, _ = cited(events)
    if numbers is None:
        return None
    return [{**shown(event), "cited": event.number in numbers} for event in events if isinstance(event, Quoted)]
