"""A stream's identity, its place in time, and what is known of it."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from domain.documents import Passage, Retrieval
from domain.errors import StreamForgeError, error_kind
from domain.events import SAID, Cancelled, Delta, Done, Event, Failed, Said, Started, Terminal, ToolCall
from domain.messages import Earlier
from domain.models import NOTHING_ASKED, Parameters
from domain.usage import spent_any

StreamState = Literal["running", "completed", "failed", "cancelled"]
OnDisconnect = Literal["detach", "cancel"]
OnBusy = Literal["reject", "cancel_previous"]

ANSWER = "answer"
"""A model answers; clients find the stream by its id."""
INGESTION = "ingestion"
"""A document is parsed and indexed; its owner finds the stream by the document."""

KINDS = frozenset((ANSWER, INGESTION))

RETRY_AFTER = 5
"""Seconds after which to come back where nothing better is known."""

_STREAM_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_EVENT_ID = re.compile(r"([0-9a-f]{32})-(0|[1-9][0-9]{0,8})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture in a turn, as a data URL; it stands before character number `at` of the turn's text.

    `detail` is how closely it is to be looked at, where the client has said so.
    """

    url: str
    at: int = 0
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What was said in a conversation, by whom.

    The assistant may have made `calls`, each in one piece; a tool's turn is the result of the one with the id
    `call_id`.
    """

    role: Literal["user", "assistant", "system", "tool"]
    text: str
    images: tuple[Image, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """What a model is asked: a message, how to answer it, and what was said before, oldest first.

    A client that keeps the conversation itself sends the whole of it as the `dialogue`, in place of the other two;
    `message` is then the user's last text in it. `passages` are what the answer must lean on, in the order of their
    numbers; nothing where it is not to lean on documents. `reserve` is the tokens to leave for them.
    """

    message: str
    parameters: Parameters = NOTHING_ASKED
    before: tuple[Turn, ...] = ()
    dialogue: tuple[Turn, ...] | None = None
    passages: tuple[Passage, ...] | None = None
    reserve: int = 0

    @property
    def image(self) -> str | None:
        """A JSON pointer to the first turn of the dialogue that shows a picture, if one does."""
        seen = (number for number, turn in enumerate(self.dialogue or ()) if turn.images)
        return next((f"#/messages/{number}/content" for number in seen), None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a conversation a stream answers: one of `session_id` and `new`.

    `edit` names a message of the user that this one replaces, on a branch of its own; `regenerate` an answer that is
    to be given anew, or the question to it: then there is no new message. `name` is the owner's own id for a session
    that is `new`, `earlier` what their client has from before, and `client_id` their own id for the message. `after` is
    the message to go on from, where that is not the last one of the active branch.
    """

    session_id: str | None = None
    new: bool = False
    edit: str | None = None
    regenerate: str | None = None
    client_id: str | None = None
    on_busy: OnBusy = "reject"
    name: str | None = None
    after: str | None = None
    earlier: Sequence[Earlier] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """A request for a stream. `digest` is the SHA-256 of what was asked, in whatever format the answer is wanted.

    `retrieval` is where the answer is to be looked for; `plain`, that it is to lean on no documents.
    """

    ask: Ask
    model: str | None = None
    on_disconnect: OnDisconnect = "detach"
    place: Place | None = None
    idempotency_key: str | None = None
    digest: bytes = b""
    retrieval: Retrieval | None = None
    plain: bool = False


@dataclass(frozen=True, slots=True, weakref_slot=True)
class StreamInfo:
    """What was fixed when the stream was started. What was asked is not kept, only its SHA-256.

    `owner` is the caller's id, `key_id` the credential that started it, `prompt_tokens` an estimate. A stream that
    answers in a session has its id, and that of the message it is to become.

    `kind` says what the log is of: `ANSWER`, `INGESTION`, or what a newer version has added. Only answers have a model.
    """

    id: str
    model: str
    created: int
    on_disconnect: OnDisconnect
    message_digest: bytes
    owner: str
    key_id: str | None = None
    prompt_tokens: int = 0
    session_id: str | None = None
    message_id: str | None = None
    idempotency_key: str | None = None
    kind: str = ANSWER


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stream at one moment, for clients that poll. `seq` is that of the newest event.

    `resumable_elsewhere` is whether other processes of the deployment can read it, nothing where there are none.
    """

    info: StreamInfo
    state: StreamState
    seq: int
    text: str
    terminal: Terminal | None
    resumable_elsewhere: bool | None = None


class EventId(NamedTuple):
    """`<stream_id>-<seq>`; sequence numbers are dense and start at 1, 0 stands before the first event."""

    stream: str
    seq: int


def new_stream_id() -> str:
    """A fresh id for every generation: 128 random bits, 32 hexadecimal characters."""
    return secrets.token_hex(16)


def started(info: StreamInfo) -> Started:
    """The first event of the stream's log."""
    return Started(info.id, info.model, info.created, info.session_id, info.message_id)


def digest(message: str) -> bytes:
    """What a stream remembers of its message, to tell another one from it."""
    return hashlib.sha256(message.encode("utf-8", "surrogatepass")).digest()


def text_size(text: str) -> int:
    """Bytes of the text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def parse_stream_id(text: str) -> str:
    """The id, or `malformed_stream_id`."""
    if not _STREAM_ID.fullmatch(text):
        raise StreamForgeError("malformed_stream_id")
    return text


def parse_event_id(text: str) -> EventId:
    """The two halves of an event id, or `malformed_cursor`."""
    match = _EVENT_ID.fullmatch(text)
    if not match:
        raise StreamForgeError("malformed_cursor")
    return EventId(match[1], int(match[2]))


def size_of(event: Said) -> int:
    """Bytes that a piece counts in its stream's log."""
    if isinstance(event, ToolCall):
        return text_size(event.id) + text_size(event.name or "") + text_size(event.arguments)
    return text_size(event.text)


def deltas(events: list[Event]) -> int:
    """How many pieces of the answer there are among them, calls included."""
    return sum(isinstance(event, Delta | ToolCall) for event in events)


def said(events: Sequence[Event]) -> str:
    """The answer so far."""
    return "".join([event.text for event in events if type(event) is Delta])


def snapshot(
    info: StreamInfo, events: list[Event], terminal: Terminal | None, *, resumable_elsewhere: bool | None = None
) -> Snapshot:
    """The state that a list of events amounts to; `terminal` is the outcome, once there is one."""
    return Snapshot(info, state_of(terminal), len(events), said(events), terminal, resumable_elsewhere)


def refusal(stream_id: str, events: list[Event]) -> StreamForgeError | None:
    """The error of a stream that failed before it said anything: then it is a status still, for whoever asks."""
    end = events[-1]
    if not isinstance(end, Failed) or any(isinstance(event, SAID) for event in events):
        return None
    return ended_badly(stream_id, end)


def ended_badly(stream_id: str, end: Failed) -> StreamForgeError:
    """The error that a stream's failure is to who has been told nothing of it yet."""
    wait = end.retry_after
    if wait is None and error_kind(end.code).retryable:
        wait = RETRY_AFTER  # such an answer says when to come back, whether or not the model's server did
    return StreamForgeError(end.code, retry_after=wait, stream_id=stream_id, spent=spent_any(end.spent))


def state_of(terminal: Terminal | None) -> StreamState:
    """The state a terminal event leaves a stream in."""
    match terminal:
        case None:
            return "running"
        case Done():
            return "completed"
        case Failed():
            return "failed"
        case Cancelled():
            return "cancelled"


def model_of(info: StreamInfo, outcome: Terminal) -> str:
    """The id of the model that answered; of the one that was asked for, if none did."""
    return outcome.model if isinstance(outcome, Done) else info.model
