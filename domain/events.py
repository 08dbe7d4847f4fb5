"""What a stream's log may hold: small events, of which each kind of stream has its own.

The log of an answer reads, in this order:

- `Started`   once, first: which stream this is
- `Retrieving` an answer is looked for in documents, `Quoted` a passage that was found there; before the first word
- `Retrying`, `Switched`   before the first word: the model is asked again, or another one is
- `Reasoning` a piece of what the model thinks, `Delta` a piece of the answer, `ToolCall` a piece of a call that it
  wants the client to make; none is empty, any number
- `Stalled`   wherever the model has been silent for a while
- one terminal event, last: `Done`, `Failed` or `Cancelled`

The log of an ingestion reads `Started`, any number of `Progress`, and `Done` or `Failed`.

A wire that does not say what it does with one of them fails the type check. While a deployment is updated, an older
process also meets what only a newer one knows: an `Unknown` event, or a reason, code or phase that is not in the lists
here. It goes on reading, and leaves to others what it would need to understand (`understood`).
"""

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Final, Literal, get_args

from domain.errors import ERRORS
from domain.usage import Spent

UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
"""What no text of ours may hold: NUL and lone surrogates, which databases and JSON parsers refuse."""


def writable(text: str) -> str:
    """The text with U+FFFD for whatever it may not hold."""
    return UNWRITABLE.sub("\ufffd", text)


FinishReason = Literal["stop", "length", "content_filter", "tool_calls"]
CancelReason = Literal["requested", "orphaned", "disconnected", "replaced", "revoked"]
Phase = Literal["parsing", "splitting", "embedding"]
COOLING: Final = "cooling"
"""The reason to switch from a model that was not asked, because it has just failed."""

_FINISH_REASONS: Final = frozenset(get_args(FinishReason))
_CANCEL_REASONS: Final = frozenset(get_args(CancelReason))
_PHASES: Final = frozenset(get_args(Phase))
_REASONS: Final = frozenset((*ERRORS, COOLING))


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
    """How far a document is: so many pages or pieces are `done`, of `total` if that is known. `phase` is a `Phase`."""

    phase: str
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
    """Another model is asked instead. `reason` is the code with which the first failed, or `COOLING`."""

    from_model: str
    to_model: str
    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """The model said that it has finished, and why: a `FinishReason`. `model` is the one that answered.

    `message_id` is the stored message that the answer has become, in a session. Where it was to lean on documents,
    `sources` are the numbers of the passages that it refers to, and `unknown_marks` how often it refers to none.
    """

    finish_reason: str
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
    """The rest is not wanted. `reason` is a `CancelReason`."""

    reason: str
    spent: Spent


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event of a kind that only a newer version knows. Its number counts; `fields` is a JSON object in ASCII."""

    kind: str
    fields: str


Said = Delta | Reasoning | ToolCall
Status = Retrieving | Stalled | Retrying | Switched
Terminal = Done | Failed | Cancelled
Rare = Started | Reasoning | ToolCall | Quoted | Status | Terminal | Unknown
AnswerEvent = Delta | Rare
IngestionEvent = Started | Progress | Terminal | Unknown
Event = AnswerEvent | IngestionEvent

SAID: tuple[type[Said], ...] = get_args(Said)
TERMINAL: tuple[type[Terminal], ...] = get_args(Terminal)


def understood(event: Event) -> bool:
    """Whether this version knows all that the event says; otherwise a newer one wrote it, and may mean anything."""
    known: Container[str]
    match event:
        case Unknown():
            return False
        case Done(word):
            known = _FINISH_REASONS
        case Cancelled(word):
            known = _CANCEL_REASONS
        case Progress(word):
            known = _PHASES
        case Failed(word):
            known = ERRORS
        case Retrying(word) | Switched(reason=word):
            known = _REASONS
        case _:
            return True
    return word in known
