"""Where a client that keeps the conversation itself wants to be answered, in the conversation as it is kept here.

Ours is what was said. What the client's differs in is never taken over: another text for an earlier question is that
question asked differently, on a branch of its own, and what the client says that a model had said is not looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.errors import StreamForgeError
from domain.messages import Line, Message
from domain.streams import Place


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client asks for: its messages, oldest first.

    `again` is whether the last answer is to be given anew; `message_id` the message that is meant, where one is named.
    `once` is whether a question that comes a second time under its name is the same request, sent again by a client
    that did not hear the answer to the first.
    """

    lines: Sequence[Line]
    again: bool = False
    message_id: str | None = None
    once: bool = False

    @property
    def question(self) -> Line:
        """What is to be answered; `invalid_request` where the last message is not the user's, or has no text."""
        if not self.lines or self.lines[-1].role != "user":
            raise StreamForgeError("invalid_request", "The last message must be the user's.", pointer="#/messages")
        if not self.lines[-1].text.strip():
            detail = "The last message has no text. Write something."
            raise StreamForgeError("invalid_request", detail, pointer="#/messages")
        return self.lines[-1]


@dataclass(frozen=True, slots=True)
class Answerable:
    """A place in a session, and what is asked there; its `answer`, where it is the same request that has one."""

    place: Place
    message: str
    answer: Message | None = None


class Branch:
    """The end of a branch of a session, oldest first, under all names that a client may have for its messages.

    `others` are messages of the session that are not in it, by what the client calls them: earlier versions of those
    that are, or what lies further up. `leaf` is its last message, where it may not be the active branch.
    """

    def __init__(self, messages: Sequence[Message], others: Mapping[str, Message], leaf: str | None = None) -> None:
        self.leaf = leaf
        self._messages = messages
        self._others = others
        self._at = {message.client_id: index for index, message in enumerate(messages) if message.client_id}
        self._at |= {message.id: index for index, message in enumerate(messages)}
        self._under = {message.parent_id: index for index, message in enumerate(messages)}

    def index(self, name: str) -> int | None:
        """Where the message of this name is, or the version of it that is active."""
        if name in self._at:
            return self._at[name]
        other = self._others.get(name)
        return self._under.get(other.parent_id) if other is not None else None

    def get(self, name: str) -> Message | None:
        """The message, in the version that is active if one is."""
        index = self.index(name)
        return self._messages[index] if index is not None else self._others.get(name)

    def question_after(self, lines: Sequence[Line]) -> Message | None:
        """What was asked here after the last of the lines that is known, and its answer."""
        known = [index for line in lines if (index := self.index(line.id)) is not None]
        if not known:
            return None
        after = known[-1] + 1
        if self._messages[known[-1]].role == "user":
            after += 1  # beyond its answer
        return self._messages[after] if after < len(self._messages) else None

    def answer_to(self, question: Message) -> Message | None:
        """The answer that the question has on this branch."""
        index = self._under.get(question.id)
        return self._messages[index] if index is not None else None

    def last_question(self) -> Message | None:
        """What was asked last."""
        return next((message for message in reversed(self._messages) if message.role == "user"), None)

    def first_question(self) -> Message | None:
        """The session's first message, if the branch reaches as far."""
        first = self._messages[0] if self._messages else None
        return first if first is not None and first.parent_id is None else None


def align(session_id: str, branch: Branch, wanted: Wanted) -> Answerable:
    """What to ask, and where, for what the client wants."""
    last = wanted.question
    *earlier, _ = wanted.lines
    if rewritten := _rewritten(branch, earlier):
        number, kept = rewritten
        said = [line.text for line in wanted.lines[number:] if line.role == "user" and line.text.strip()]
        return Answerable(_place(session_id, edit=kept.id), "\n\n".join(said))
    if wanted.again and wanted.message_id is not None:
        named = branch.get(wanted.message_id)
        if named is not None and named.role == "assistant":
            return Answerable(_place(session_id, regenerate=named.id), last.text)
    asked = branch.get(last.id) or branch.question_after(earlier)
    if asked is None and not earlier and (wanted.again or wanted.message_id is not None):
        asked = branch.first_question()
    if asked is None and wanted.again:  # its names are all unknown here: what it shows last is what was asked last
        newest = branch.last_question()
        asked = newest if newest is not None and newest.text == last.text else None
    if asked is None or asked.role != "user":
        return Answerable(_place(session_id, after=branch.leaf, client_id=last.id or None), last.text)
    if asked.text == last.text:
        same = wanted.once and branch.get(last.id) is asked
        answer = branch.answer_to(asked) if same else None
        return Answerable(_place(session_id, regenerate=asked.id), last.text, answer)
    new_name = last.id if last.id and branch.get(last.id) is None else None  # an older version keeps its name
    return Answerable(_place(session_id, edit=asked.id, client_id=new_name), last.text)


def _rewritten(branch: Branch, earlier: Sequence[Line]) -> tuple[int, Message] | None:
    """The first earlier question that the client has another text for, with its place among the client's messages."""
    for number, line in enumerate(earlier):
        if line.role == "user" and branch.index(line.id) is not None:
            kept = branch.get(line.id)
            if kept is not None and kept.role == "user" and kept.text != line.text:
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
    # Whoever speaks again wants what runs no longer: these clients leave a stream by hanging up, which stops nothing.
    return Place(session_id, False, edit, regenerate, client_id, "cancel_previous", after=after)
