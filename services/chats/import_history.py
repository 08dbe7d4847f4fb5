"""What a client says was said in a chat that is not known here, as the beginning of the session that is opened for it.

It may come from another server, or from one that has lost it. What the page shows is what the model is to know, so it
is taken over as it stands, as far as a session's messages can be so: they take turns, and no two have one name.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from domain.messages import Earlier, Line
from domain.usage import room


def distinct(lines: Sequence[Line]) -> list[Line]:
    """The lines, of which each name is borne by one: the last. A name of messages that differ says nothing, and goes.

    It would have them taken for versions of each other, when the client sends them again.
    """
    bearers: dict[str, Line] = {}
    useless = {""}
    for line in lines:
        other = bearers.setdefault(line.id, line)
        if (other.role, other.text) != (line.role, line.text):
            useless.add(line.id)
        bearers[line.id] = line
    return [
        line if line.id not in useless and bearers[line.id] is line else replace(line, id="") for line in lines
    ]  # fmt: skip


def adopted(lines: Sequence[Line]) -> list[Earlier]:
    """The messages before a question: theirs in turn, each question with an answer. An answer may come first.

    Answers that follow each other are one; where none follows a question there is one without a word. Counts tokens,
    of a long text for tens of milliseconds: call it in a thread.
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
