"""Conversations: sessions, and the tree of messages in each.

A message knows its parent; two with the same parent are siblings: answers to one question, or versions of one
question. One of a message's children is *active*; the session's active first message and the active children below it
form the *active branch*, which is what the model is sent and what the history shows.

Times are in seconds since the Unix epoch.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from domain.errors import StreamForgeError, error_kind
from domain.events import Cancelled, Done, Terminal
from domain.usage import Spent

Role = Literal["user", "assistant"]
MessageState = Literal["running", "complete", "failed", "cancelled", "interrupted"]

MAX_TITLE = 200
MAX_CLIENT_ID = 200

_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


def new_id() -> str:
    """An id for a session or a message: 128 random bits as 32 lower-case hexadecimal characters."""
    return secrets.token_hex(16)


def is_id(text: str) -> bool:
    """Whether the text has the form of a session's or a message's id."""
    return _ID.fullmatch(text) is not None


def known_session_id(text: str) -> str:
    """The id; raises `session_not_found` for a malformed one, as for an unknown one."""
    if not is_id(text):
        raise StreamForgeError("session_not_found")
    return text


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation. `client_id` is the name its owner gave it, unique for that owner."""

    id: str
    owner: str
    created: float
    updated: float
    title: str | None = None
    client_id: str | None = None
    leaf: str | None = None
    """The last message of the active branch."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message. The fields from `stream_id` on are set for answers only.

    `depth` is its place on its branch, from 0. `tokens` is an estimate. `summary_id` names the newest summary that
    covers the beginning of its branch.
    """

    id: str
    session_id: str
    parent_id: str | None
    depth: int
    role: Role
    state: MessageState
    text: str
    tokens: int
    created: float
    client_id: str | None = None
    summary_id: str | None = None
    stream_id: str | None = None
    model: str | None = None
    finish_reason: str | None = None
    code: str | None = None
    """Why it failed, a key of `domain.errors.ERRORS`; or why it was cancelled."""
    spent: Mapping[str, Any] | None = None
    """`usage`, `cost` and possibly `attempts`, as `domain.usage.account` returns them."""
    first_word_ms: int | None = None
    total_ms: int | None = None
    sources: Sequence[Mapping[str, Any]] | None = None
    """The passages that the model was given, as `domain.citations.sources` returns them; `None` if the answer was not
    asked to use documents. They stay with the message unchanged, even if a document is deleted: they record what the
    model was given."""
    siblings: tuple[str, ...] = field(default=())
    """Ids of all children of its parent, oldest first, itself included; empty if it is the only one."""


@dataclass(frozen=True, slots=True)
class Question:
    """A new message from the user. `tokens` is what it may take of a context window, as `domain.usage.room` counts."""

    id: str
    text: str
    tokens: int
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """A message from before its session was created, as the owner's client sent it.

    Stored as an answer, it has no `stream_id` and no `model`, which marks it as written by the client.
    """

    role: Role
    text: str
    tokens: int
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """Asks for a new session: the `client_id` that the owner gives it, and the messages from before it was created."""

    name: str | None = None
    earlier: Sequence[Earlier] = ()


@dataclass(frozen=True, slots=True)
class Append:
    """Adds a question below the message `message_id`, by default the last one of the active branch."""

    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """Adds a question as a sibling of an earlier one, `message_id`."""

    message_id: str


@dataclass(frozen=True, slots=True)
class Regenerate:
    """Answers an earlier question again; `message_id` is that question or an answer to it."""

    message_id: str


ParentSpec = Append | Edit | Regenerate


@dataclass(frozen=True, slots=True)
class Beginning:
    """An answer to begin in a session. `question` is `None` only with a `Regenerate`.

    `title` is for a session that has none yet. With an `opening` the session is made, and the question is the first
    one in it, unless the owner has `most_sessions` already.
    """

    owner: str
    session_id: str
    question: Question | None
    parent: ParentSpec
    answer_id: str
    stream_id: str
    model: str
    now: float
    idempotency_key: str | None = None
    title: str | None = None
    opening: Opening | None = None
    most_sessions: int | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer that is running, and its question, which may be new or be answered again."""

    session: Session
    question: Message
    answer: Message


class Busy(Exception):  # noqa: N818 - a state of the session, not an error
    """Another answer, that of stream `stream_id`, is running in the session."""

    def __init__(self, stream_id: str) -> None:
        super().__init__(stream_id)
        self.stream_id = stream_id


class KeyInUse(Exception):  # noqa: N818
    """An answer was already started with this idempotency key: attach to stream `stream_id`."""

    def __init__(self, stream_id: str) -> None:
        super().__init__(stream_id)
        self.stream_id = stream_id


@dataclass(frozen=True, slots=True)
class Running:
    """An answer that is stored as running."""

    owner: str
    session_id: str
    message_id: str
    stream_id: str


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """The newest answer of a session. `touched` is when it ended or, if it is running, was last known to be."""

    id: str
    stream_id: str
    state: MessageState
    touched: float


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """A message sent by a client that keeps the conversation itself. `id` is the client's, ours, or empty for none."""

    id: str
    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Window:
    """The last messages of a branch, oldest first, and a summary of the messages before them, if there is one."""

    messages: list[Message]
    summary: "Summary | None"


@dataclass(frozen=True, slots=True)
class Found:
    """A message that matches a search, its session's title, and the text around the first match."""

    message: Message
    title: str | None
    snippet: str


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list. `next` is the cursor of the page after it, `None` on the last page.

    An `incomplete` page has less than there may be: time was over. The next one goes on from there.
    """

    items: list[Item]
    next: str | None
    incomplete: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary of a branch from its first message up to and including `message_id`, which lies at `depth`."""

    id: str
    session_id: str
    message_id: str
    depth: int
    text: str
    tokens: int
    model: str
    created: float


@dataclass(frozen=True, slots=True)
class Ending:
    """What is stored with an answer when its stream ends."""

    state: MessageState
    text: str
    model: str
    finish_reason: str | None
    code: str | None
    spent: Spent
    first_word_ms: int | None
    total_ms: int | None
    sources: Sequence[Mapping[str, Any]] | None = None


def state_after(outcome: Terminal) -> MessageState:
    """The state of an answer whose stream ended with this outcome."""
    match outcome:
        case Done():
            return "complete"
        case Cancelled():
            return "cancelled"
    return error_kind(outcome.code).message_state
