"""Conversations: sessions, and the tree of messages in each.

A message knows its parent; two with the same parent are siblings: answers to one question, or versions of one
question. Each message that has children has one that is *active*; from a session's active first message along the
active children leads the *active branch*, which is what the model is told and what the history shows.

Moments are in seconds since the Unix epoch.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from domain.errors import ERRORS, StreamForgeError
from domain.events import Cancelled, Done, FinishReason, Terminal
from domain.usage import Spent

Role = Literal["user", "assistant"]
MessageState = Literal["running", "complete", "failed", "cancelled", "interrupted"]

MAX_TITLE = 200
MAX_CLIENT_ID = 200

_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


def new_id() -> str:
    """An id for a session or a message: 128 random bits, 32 hexadecimal characters."""
    return secrets.token_hex(16)


def is_id(text: str) -> bool:
    """Whether it can be the id of a session or a message."""
    return _ID.fullmatch(text) is not None


def known_session_id(text: str) -> str:
    """The id, or `session_not_found`: what is no id is as unknown as any other."""
    if not is_id(text):
        raise StreamForgeError("session_not_found")
    return text


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation. `client_id` is its owner's own name for it, unique among that owner's."""

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
    """One message. The fields from `stream_id` on are an answer's only.

    `depth` is its place on its branch, from 0. `tokens` is an estimate. `summary_id` names the newest summary that
    covers a beginning of the branch it is on.
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
    finish_reason: FinishReason | None = None
    code: str | None = None
    """Why it failed, a key of `domain.errors.ERRORS`; or for what reason it was cancelled."""
    spent: Mapping[str, Any] | None = None
    """`usage`, `cost` and perhaps `attempts`, as they are shown."""
    first_word_ms: int | None = None
    total_ms: int | None = None
    sources: Sequence[Mapping[str, Any]] | None = None
    """The passages of documents that it was given, as `domain.citations.sources` has them; nothing where it was to
    lean on none. They stay as they were told, also when a document is deleted: what was said is what was said, and
    goes with its message."""
    siblings: tuple[str, ...] = field(default=())
    """All children of its parent in the order they came, itself included; empty where it is the only one."""


@dataclass(frozen=True, slots=True)
class Question:
    """A new message of the user's. `tokens` is what it may take of a context window."""

    id: str
    text: str
    tokens: int
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """A message from before its session was opened, as the owner's client has it.

    As an answer it has no `stream_id` and no `model`: that is how it is known for the client's word.
    """

    role: Role
    text: str
    tokens: int
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """That a session is made, for its first question: the owner's own `name` for it, and what was said `earlier`."""

    name: str | None = None
    earlier: Sequence[Earlier] = ()


@dataclass(frozen=True, slots=True)
class Append:
    """A question goes under the last message of the active branch, or under the one that is named."""

    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """A question becomes a sibling of an earlier one."""

    message_id: str


@dataclass(frozen=True, slots=True)
class Regenerate:
    """A question that was asked is answered anew; `message_id` is its id, or that of an answer to it."""

    message_id: str


ParentSpec = Append | Edit | Regenerate


@dataclass(frozen=True, slots=True)
class Beginning:
    """An answer to begin in a session. `question` is `None` only with a `Regenerate`.

    `title` is for a session that has none yet. With an `opening` the session is made, and the question is the first
    one in it.
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


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer that is running, and the question to it: a new one, or the one to be answered anew."""

    session: Session
    question: Message
    answer: Message


class Busy(Exception):  # noqa: N818 - what is the case, not that it is an error
    """An answer is running in the session: that stream's."""

    def __init__(self, stream_id: str) -> None:
        super().__init__(stream_id)
        self.stream_id = stream_id


class KeyInUse(Exception):  # noqa: N818
    """An answer is running that was asked for with the same idempotency key: attach to that stream."""

    def __init__(self, stream_id: str) -> None:
        super().__init__(stream_id)
        self.stream_id = stream_id


@dataclass(frozen=True, slots=True)
class Running:
    """An answer whose stream has not ended, as far as is known."""

    owner: str
    session_id: str
    message_id: str
    stream_id: str


@dataclass(frozen=True, slots=True)
class LastAnswer:
    """The newest answer of a session. `touched` is when it ended or, while it runs, was last known to."""

    id: str
    stream_id: str
    state: MessageState
    touched: float


@dataclass(frozen=True, slots=True)
class Line:
    """A message as a client has it, which keeps the conversation itself. `id` is its own, or ours; empty for none."""

    id: str
    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Window:
    """The end of a branch, oldest first, and a summary of what comes before, where there is one."""

    messages: list[Message]
    summary: "Summary | None"


@dataclass(frozen=True, slots=True)
class Found:
    """A message that holds what was looked for, the title of its session, and the words around the first of it."""

    message: Message
    title: str | None
    snippet: str


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list. `next` is the cursor for the part that follows, `None` on the last one."""

    items: list[Item]
    next: str | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What was said up to and including one message, in short."""

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
    """What becomes of an answer when its stream ends."""

    state: MessageState
    text: str
    model: str
    finish_reason: FinishReason | None
    code: str | None
    spent: Spent
    first_word_ms: int | None
    total_ms: int | None
    sources: Sequence[Mapping[str, Any]] | None = None


def state_after(outcome: Terminal) -> MessageState:
    """What a stream's outcome makes of its answer."""
    match outcome:
        case Done():
            return "complete"
        case Cancelled():
            return "cancelled"
    return ERRORS[outcome.code].message_state
