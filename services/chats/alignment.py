"""Finds the place for an answer when the client keeps the conversation too.

The stored conversation is the truth, and the client's differences never overwrite it: another text for an earlier
question is an edit of that question, on a new branch, and the client's version of a model's answer is ignored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.errors import StreamForgeError
from domain.messages import ClientMessage, Message
from domain.streams import Place


@dataclass(frozen=True, slots=True)
class ClientTurn:
    """What a client sends for its next turn: its messages, oldest first.

    `again` asks for a new version of the last answer; `message_id` is the message that the client names, if any.
    `once` says that a question that comes a second time under its id is a retry of the same request, by a client that
    missed the response to the first.
    """

    messages: Sequence[ClientMessage]
    again: bool = False
    message_id: str | None = None
    once: bool = False

    @property
    def question(self) -> ClientMessage:
        """The message to answer; raises `invalid_request` if the last one is not the user's, or has no text."""
        if not self.messages or self.messages[-1].role != "user":
            raise StreamForgeError("invalid_request", "The last message must be the user's.", pointer="#/messages")
        if not self.messages[-1].text.strip():
            detail = "The last message has no text. Write something."
            raise StreamForgeError("invalid_request", detail, pointer="#/messages")
        return self.messages[-1]


@dataclass(frozen=True, slots=True)
class Answerable:
    """A place in a session and the question there; `answer` is set if the same request was answered before."""

    place: Place
    message: str
    answer: Message | None = None


class BranchEnd:
    """The last messages of a branch, oldest first, under every name that a client may use for them.

    `others` are further messages of the session by the client's names: other versions of the messages here, or
    messages further up. `leaf` is the id of the branch's last message, given if the branch may not be the active one.
    """

    def __init__(self, messages: Sequence[Message], others: Mapping[str, Message], leaf: str | None = None) -> None:
        self.leaf = leaf
        self._messages = messages
        self._others = others
        self._at = {message.client_id: index for index, message in enumerate(messages) if message.client_id}
        self._at |= {message.id: index for index, message in enumerate(messages)}
        self._under = {message.parent_id: index for index, message in enumerate(messages)}

    def index(self, name: str) -> int | None:
        """The index of the message with this name, or of its active version."""
        if name in self._at:
            return self._at[name]
        other = self._others.get(name)
        return self._under.get(other.parent_id) if other is not None else None

    def get(self, name: str) -> Message | None:
        """The message; its active version, if there is one."""
        index = self.index(name)
        return self._messages[index] if index is not None else self._others.get(name)

    def question_after(self, shown: Sequence[ClientMessage]) -> Message | None:
        """The question after the last message known here; if that is a question itself, the one after its answer."""
        known = [index for message in shown if (index := self.index(message.id)) is not None]
        if not known:
            return None
        after = known[-1] + 1
        if self._messages[known[-1]].role == "user":
            after += 1  # beyond its answer
        return self._messages[after] if after < len(self._messages) else None

    def answer_to(self, question: Message) -> Message | None:
        """The answer to the question on this branch."""
        index = self._under.get(question.id)
        return self._messages[index] if index is not None else None

    def last_question(self) -> Message | None:
        """The newest message of the user."""
        return next((message for message in reversed(self._messages) if message.role == "user"), None)

    def first_question(self) -> Message | None:
        """The session's first message, if it is among the messages here."""
        first = self._messages[0] if self._messages else None
        return first if first is not None and first.parent_id is None else None


def align(session_id: str, branch: BranchEnd, turn: ClientTurn) -> Answerable:
    """The question to ask for the client's turn, and its place."""
    last = turn.question
    *earlier, _ = turn.messages
    if rewritten := _rewritten(branch, earlier):
        number, kept = rewritten
        said = [each.text for each in turn.messages[number:] if each.role == "user" and each.text.strip()]
        return Answerable(_place(session_id, edit=kept.id), "\n\n".join(said))
    if turn.again and turn.message_id is not None:
        named = branch.get(turn.message_id)
        if named is not None and named.role == "assistant":
            return Answerable(_place(session_id, regenerate=named.id), last.text)
    asked = branch.get(last.id) or branch.question_after(earlier)
    if asked is None and not earlier and (turn.again or turn.message_id is not None):
        asked = branch.first_question()
    if asked is None and turn.again:  # no name is known here: the client's last question must be the newest one
        newest = branch.last_question()
        asked = newest if newest is not None and newest.text == last.text else None
    if asked is None or asked.role != "user":
        return Answerable(_place(session_id, after=branch.leaf, client_id=last.id or None), last.text)
    if asked.text == last.text:
        same = turn.once and branch.get(last.id) is asked
        answer = branch.answer_to(asked) if same else None
        return Answerable(_place(session_id, regenerate=asked.id), last.text, answer)
    new_name = last.id if last.id and branch.get(last.id) is None else None  # an older version keeps its id
    return Answerable(_place(session_id, edit=asked.id, client_id=new_name), last.text)


def _rewritten(branch: BranchEnd, earlier: Sequence[ClientMessage]) -> tuple[int, Message] | None:
    """The first earlier question whose text differs in the client, with its index among the client's messages."""
    for number, message in enumerate(earlier):
        if message.role == "user" and branch.index(message.id) is not None:
            kept = branch.get(message.id)
            if kept is not None and kept.role == "user" and kept.text != message.text:
                return number, kept
    return None


def _place(
    session_id: str,
    *,
    edit: str | None = None,
    regenerate: str | None = None,
    after: str | None = None,
    client_id: str | None = None,
) -> Place:
    # A new message replaces the running answer: these clients cannot cancel, they only hang up.
    return Place(session_id, False, edit, regenerate, client_id, "cancel_previous", after=after)
