"""Marks in an answer, `[1]` or `[1, 3]`, that refer to the passages it was given."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

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
