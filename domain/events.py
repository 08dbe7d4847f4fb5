"""What a stream's log may hold: a closed set of small events.

A log reads, in this order:

- `Started`   once, first: which stream this is
- `Retrieving` an answer is looked for in documents, `Quoted` a passage that was found there; before the first word
- `Retrying`, `Switched`   before the first word: the model is asked again, or another one is
- `Reasoning` a piece of what the model thinks, `Delta` a piece of the answer, `ToolCall` a piece of a call that it
  wants the client to make; none is empty, any number
- `Stalled`   wherever the model has been silent for a while
- one terminal event, last: `Done`, `Failed` or `Cancelled`

The log of a document that is taken in reads `Started`, any number of `Progress`, and `Done` or `Failed`.

A wire that does not say what it does with one of them fails the type check.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from domain.usage import Spent

UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
"""What no text of ours may hold: NUL and lone surrogates, which databases and JSON parsers refuse."""


def writable(text: str) -> str:
    """The text with U+FFFD for whatever it may not hold."""
    return UNWRITABLE.sub("\ufffd", text)


FinishReason = Literal["stop", "length", "content_filter", "tool_calls"]
CancelReason = Literal["requested", "orphaned", "disconnected", "replaced", "revoked"]


@dataclass(frozen=True, slots=True)
class Started:
    """The stream exists. `created` is in whole seconds since the Unix epoch.

    A stream that answers in a session names it, and the message that the answer becomes.
    """

    stream_id: str
    model: str
    created: int
    session_id: str | None = None
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the answer's text: at least one character, no NUL, no lone surrogate."""

    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of what a reasoning model thinks before it answers; never a part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A piece of a call of one of the tools that the client has offered.

    The first piece of a call has its `name`, and no other has; the `arguments` of all pieces with one `id`, joined,
    are JSON, unless the model was cut short. Several calls may come side by side. Of a call in one piece this is all.
    """

    id: str
    name: str | None
    arguments: str


@dataclass(frozen=True, slots=True)
class Quoted:
    """A passage that the answer may lean on; in the text `[number]` refers to it. `number` counts from 1.

    `id` names the piece of the document. `score` is a cosine, where it is known.
    """

    number: int
    id: str
    document_id: str
    title: str
    text: str
    page: int | None = None
    heading: str | None = None
    score: float | None = None
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Retrieving:
    """Passages are looked for. `question` is what with, where that is not simply the message."""

    question: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a document is: so many pages or pieces are `done`, of so many in all where that is known."""

    phase: Literal["parsing", "splitting", "embedding"]
    done: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Stalled:
    """The model has said nothing for `seconds`; it may go on, or its clock will end the stream."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Retrying:
    """The model failed with the code `reason` and is asked once more, for the `attempt`-th time, in `delay` seconds."""

    reason: str
    attempt: int
    delay: float


@dataclass(frozen=True, slots=True)
class Switched:
    """Another model is asked instead. `reason` is the code with which the first failed, or `cooling`."""

    from_model: str
    to_model: str
    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """The model said that it has finished, and why. `model` is the one that answered.

    `message_id` is the stored message that the answer has become, in a session. Where it was to lean on documents,
    `sources` are the numbers of the passages that it refers to, and `unknown_marks` how often it refers to none.
    """

    finish_reason: FinishReason
    model: str
    spent: Spent
    message_id: str | None = None
    sources: tuple[int, ...] | None = None
    unknown_marks: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """The answer is not whole. `code` is a key of `domain.errors.ERRORS`, `retry_after` in whole seconds.

    `detail` is a document's: a sentence that says more than that of the code.
    """

    code: str
    spent: Spent
    retry_after: int | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody, or a clock, did not want the rest."""

    reason: CancelReason
    spent: Spent


Said = Delta | Reasoning | ToolCall
Status = Retrieving | Progress | Stalled | Retrying | Switched
Terminal = Done | Failed | Cancelled
Event = Started | Said | Quoted | Status | Terminal

SAID: tuple[type[Said], ...] = get_args(Said)
TERMINAL: tuple[type[Terminal], ...] = get_args(Terminal)
