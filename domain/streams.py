"""Streams: the order for one, its identity and its state, and the ids of its events."""

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
"""A document is parsed and indexed; its owner finds the stream through the document."""

KINDS = frozenset((ANSWER, INGESTION))

RETRY_AFTER = 5
"""Seconds that a client should wait before trying again, if nothing better is known."""

_STREAM_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_EVENT_ID = re.compile(r"([0-9a-f]{32})-(0|[1-9][0-9]{0,8})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a turn, as a data URL, placed before character number `at` of the turn's text.

    `detail` is how closely the model should look at it, `None` if the client does not say.
    """

    url: str
    at: int = 0
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation: who spoke, and the text.

    A turn of the assistant may contain tool `calls`, each in one piece. A turn of a tool is the result of the call with
    the id `call_id`.
    """

    role: Literal["user", "assistant", "system", "tool"]
    text: str
    images: tuple[Image, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """The input of a model: a message, the parameters, and the turns before it, oldest first.

    A client that keeps the conversation itself sends all of it as `dialogue`, and `before` stays empty; `message` is
    then the user's last text in it. `passages` are those that the answer must be based on, in the order of their
    numbers, `None` if it does not use documents. `reserve` is the number of tokens to leave free for them.
    """

    message: str
    parameters: Parameters = NOTHING_ASKED
    before: tuple[Turn, ...] = ()
    dialogue: tuple[Turn, ...] | None = None
    passages: tuple[Passage, ...] | None = None
    reserve: int = 0

    @property
    def image(self) -> str | None:
        """A JSON pointer to the first turn of the dialogue that has an image, `None` if there is none."""
        seen = (number for number, turn in enumerate(self.dialogue or ()) if turn.images)
        return next((f"#/messages/{number}/content" for number in seen), None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a conversation a stream answers. Either `session_id` is set, or `new`.

    `edit` is the id of a user's message that the new message replaces, on a branch of its own. `regenerate` is the id
    of an answer that is to be generated again, or of its question; there is no new message then. `client_id` is the
    client's own id for the message. `after` is the message to continue from, by default the last one of the active
    branch. For a `new` session, `name` is the owner's own id, and `earlier` holds the messages that the client already
    has.
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
    """A request for a stream. `digest` is the SHA-256 of the request, without the format of the response.

    `retrieval` says which documents to search; with `plain`, the answer uses no documents.
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
    """The facts that are fixed when a stream starts. The message itself is not kept, only its SHA-256.

    `owner` is the caller's id, `key_id` the credential that started the stream, `prompt_tokens` an estimate.
    `session_id` and `message_id` are set for an answer in a session: the message is the one that the answer becomes.

    `kind` is `ANSWER`, `INGESTION`, or a kind that a newer version has added. Only answers have a model.
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
    """A stream at one moment, for clients that poll. `seq` is the number of its newest event.

    `resumable_elsewhere` is whether other processes of the deployment can read it; `None` if there are no others.
    """

    info: StreamInfo
    state: StreamState
    seq: int
    text: str
    terminal: Terminal | None
    resumable_elsewhere: bool | None = None


class EventId(NamedTuple):
    """`<stream_id>-<seq>`. Sequence numbers are dense and start at 1; 0 is the position before the first event."""

    stream: str
    seq: int


def new_stream_id() -> str:
    """A fresh id for every generation: 128 random bits, 32 hexadecimal characters."""
    return secrets.token_hex(16)


def started(info: StreamInfo) -> Started:
    """The first event of the stream's log."""
    return Started(info.id, info.model, info.created, info.session_id, info.message_id)


def digest(message: str) -> bytes:
    """The SHA-256 of a message: a stream keeps it to recognise a different message."""
    return hashlib.sha256(message.encode("utf-8", "surrogatepass")).digest()


def text_size(text: str) -> int:
    """The size of the text in bytes of UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def parse_stream_id(text: str) -> str:
    """The id; raises `malformed_stream_id`."""
    if not _STREAM_ID.fullmatch(text):
        raise StreamForgeError("malformed_stream_id")
    return text


def parse_event_id(text: str) -> EventId:
    """The two halves of an event id; raises `malformed_cursor`."""
    match = _EVENT_ID.fullmatch(text)
    if not match:
        raise StreamForgeError("malformed_cursor")
    return EventId(match[1], int(match[2]))


def size_of(event: Said) -> int:
    """The bytes that a piece counts towards the limit of its stream's log."""
    if isinstance(event, ToolCall):
        return text_size(event.id) + text_size(event.name or "") + text_size(event.arguments)
    return text_size(event.text)


def deltas(events: list[Event]) -> int:
    """How many of the events are pieces of the answer, tool calls included."""
    return sum(isinstance(event, Delta | ToolCall) for event in events)


def said(events: Sequence[Event]) -> str:
    """The text of the answer so far."""
    return "".join([event.text for event in events if type(event) is Delta])


def snapshot(
    info: StreamInfo, events: list[Event], terminal: Terminal | None, *, resumable_elsewhere: bool | None = None
) -> Snapshot:
    """The snapshot that a list of events makes; `terminal` is the outcome, `None` while the stream runs."""
    return Snapshot(info, state_of(terminal), len(events), said(events), terminal, resumable_elsewhere)


def refusal(stream_id: str, events: list[Event]) -> StreamForgeError | None:
    """The error of a stream that failed before its first word, so that it can still be an HTTP status; else `None`."""
    end = events[-1]
    if not isinstance(end, Failed) or any(isinstance(event, SAID) for event in events):
        return None
    return ended_badly(stream_id, end)


def ended_badly(stream_id: str, end: Failed) -> StreamForgeError:
    """The error to raise for a failed stream if the client has not seen any of it yet."""
    wait = end.retry_after
    if wait is None and error_kind(end.code).retryable:
        wait = RETRY_AFTER  # a retryable error always has a Retry-After, even if the model's server gave none
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
    """The id of the model that answered, or of the requested one if none did."""
    return outcome.model if isinstance(outcome, Done) else info.model
