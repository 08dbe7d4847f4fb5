"""Imports a client's history as the beginning of a new session, when its chat is not known here.

The chat may come from another server, or this one has lost it. The model should know what the page shows, so the
history is taken over unchanged, except that a session's messages take turns and no two of them share an id.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from domain.messages import Earlier, Line
from domain.usage import room


def distinct(lines: Sequence[Line]) -> list[Line]:
    """The lines with unique ids: of equal lines that share one the last keeps it, of different lines none does.

    Lines that share an id would be taken for versions of each other when the client sends them again.
    """
    holders: dict[str, Line] = {}
    ambiguous = {""}
    for line in lines:
        other = holders.setdefault(line.id, line)
        if (other.role, other.text) != (line.role, line.text):
            ambiguous.add(line.id)
        holders[line.id] = line
    return [
        line if line.id not in ambiguous and holders[line.id] is line else replace(line, id="") for line in lines
    ]  # fmt: skip


def imported(lines: Sequence[Line]) -> list[Earlier]:
    """The messages to store before a question: questions and answers in turn. An answer may come first.

    Adjacent answers are joined, and a question without an answer gets an empty one. Counting the tokens of a long text
    takes tens of milliseconds: call this in a thread.
    """
    taken: list[Earlier] = []
    for role, run in groupby(lines, key=lambda line: line.role):
        if role == "assistant":
            taken.append(_answer(list(run)))
            continue
        for line in run:
            if taken and taken[-1].role == "user":
                taken.append(_UNANSWERED)
            taken.append(Earlier("user", line.text, room(line.text), line.id or None))
    return [*taken, _UNANSWERED] if taken and taken[-1].role == "user" else taken


def _answer(lines: Sequence[Line]) -> Earlier:
    text = "\n\n".join(line.text for line in lines if line.text)
    name = next((line.id for line in reversed(lines) if line.id), None)
    return Earlier("assistant", text, room(text), name)


_UNANSWERED = _answer([])
