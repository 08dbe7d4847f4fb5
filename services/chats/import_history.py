"""Imports a client's history as the beginning of a new session, when its chat is not known here.

The chat may come from another server, or this one has lost it. The model should know what the page shows, so the
history is taken over unchanged, except that a session's messages take turns and no two of them share an id.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from domain.messages import ClientMessage, Earlier
from domain.usage import room


def distinct(messages: Sequence[ClientMessage]) -> list[ClientMessage]:
    """The messages with unique ids: of equal messages that share one, the last keeps it; of different ones, none does.

    Messages that share an id would be taken for versions of each other when the client sends them again.
    """
    holders: dict[str, ClientMessage] = {}
    ambiguous = {""}
    for message in messages:
        other = holders.setdefault(message.id, message)
        if (other.role, other.text) != (message.role, message.text):
            ambiguous.add(message.id)
        holders[message.id] = message
    return [
        each if each.id not in ambiguous and holders[each.id] is each else replace(each, id="") for each in messages
    ]  # fmt: skip


def imported(messages: Sequence[ClientMessage]) -> list[Earlier]:
    """The messages to store before a question: questions and answers in turn. An answer may come first.

    Adjacent answers are joined, and a question without an answer gets an empty one. Counting the tokens of a long text
    takes tens of milliseconds: call this in a thread.
    """
    taken: list[Earlier] = []
    for role, run in groupby(messages, key=lambda message: message.role):
        if role == "assistant":
            taken.append(_answer(list(run)))
            continue
        for message in run:
            if taken and taken[-1].role == "user":
                taken.append(_UNANSWERED)
            taken.append(Earlier("user", message.text, room(message.text), message.id or None))
    return [*taken, _UNANSWERED] if taken and taken[-1].role == "user" else taken


def _answer(messages: Sequence[ClientMessage]) -> Earlier:
    text = "\n\n".join(message.text for message in messages if message.text)
    name = next((message.id for message in reversed(messages) if message.id), None)
    return Earlier("assistant", text, room(text), name)


_UNANSWERED = _answer([])
