"""The events that make up a stream's log. Each kind of stream has its own set.

The log of an answer holds, in this order:

- `Started`, once, first: identifies the stream
- `Retrieving` (documents are being searched) and `Quoted` (a passage that was found), before the first word
- `Retrying` and `Switched`, before the first word: the same model, or another one, is asked again
- any number of `Reasoning` (a piece of the model's thinking), `Delta` (a piece of the answer) and `ToolCall` (a piece
  of a call that the model wants the client to make), none of them empty
- `Stalled`, at any point where the model has been silent for a while
- one terminal event, last: `Done`, `Failed` or `Cancelled`

The log of an ingestion holds `Started`, any number of `Progress`, and `Done` or `Failed`.

A wire that does not handle one of these fails the type check. While a deployment is being updated, an older process
may read things that only a newer one knows: an `Unknown` event, or a reason, code or phase that is not in the lists
here. It goes on reading, and leaves any action that needs them understood to other processes (see `understood`).
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import Final, Literal, get_args

from domain.errors import ERRORS
from domain.usage import Spent

FinishReason = Literal["stop", "length", "content_filter", "tool_calls"]
CancelReason = Literal["requested", "orphaned", "disconnected", "replaced", "revoked"]
Phase = Literal["parsing", "splitting", "embedding"]
COOLING: Final = "cooling"
"""The reason for switching away from a model that was not even asked, because it failed moments ago."""

_FINISH_REASONS: Final = frozenset(get_args(FinishReason))
_CANCEL_REASONS: Final = frozenset(get_args(CancelReason))
_PHASES: Final = frozenset(get_args(Phase))
_REASONS: Final = frozenset((*ERRORS, COOLING))


@dataclass(frozen=True, slots=True)
class Started:
    """The stream exists. `created` is in whole seconds since the Unix epoch.

    `session_id` and `message_id` are set for an answer in a session: the message is the one that the answer becomes.
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
    """A piece of a reasoning model's thinking before it answers; never part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A piece of a call to one of the tools that the client offered.

    Only the first piece of a call has a `name`. The `arguments` of all pieces with the same `id`, joined, are JSON
    unless the model was cut short. The pieces of several calls may be interleaved. A call may also come in one piece.
    """

    id: str
    name: str | None
    arguments: str


@dataclass(frozen=True, slots=True)
class Quoted:
    """A passage that the answer may cite as `[number]`. `number` counts from 1.

    `id` identifies the piece of the document. `score` is a cosine, `None` if unknown.
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
    """Passages are being searched for. `question` is the search text if it differs from the message."""

    question: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a document: `done` pages or pieces, out of `total` if that is known. `phase` is a `Phase`."""

    phase: str
    done: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Stalled:
    """The model has been silent for `seconds`. It may continue; if not, its clock will end the stream."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Retrying:
    """The model failed with the code `reason` and will be asked again in `delay` seconds, as attempt `attempt`."""

    reason: str
    attempt: int
    delay: float


@dataclass(frozen=True, slots=True)
class Switched:
    """Another model is asked instead. `reason` is the code with which the first one failed, or `COOLING`."""

    from_model: str
    to_model: str
    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """The model reported that it has finished, for the `FinishReason` given. `model` is the one that answered.

    `message_id` is the stored message that the answer has become, if it is in a session. If the answer was asked to
    use documents, `sources` are the numbers of the passages it cites, and `unknown_marks` counts its citations of
    passages that do not exist.
    """

    finish_reason: str
    model: str
    spent: Spent
    message_id: str | None = None
    sources: tuple[int, ...] | None = None
    unknown_marks: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """The stream failed, and an answer is incomplete. `code` is a key of `ERRORS`, `retry_after` in whole seconds.

    `detail` is set for documents only: a sentence that is more specific than the one of the code.
    """

    code: str
    spent: Spent
    retry_after: int | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The stream was cancelled. `reason` is a `CancelReason`."""

    reason: str
    spent: Spent


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event of a kind that only a newer version knows. It has its number; `fields` is a JSON object in ASCII."""

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
    """Whether this version knows all that the event says. If not, a newer one wrote it, and it may mean anything."""
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
