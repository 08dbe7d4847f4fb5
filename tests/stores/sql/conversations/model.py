"""What conversations are, in plain Python: the oracle beside the stores."""

from dataclasses import dataclass, field
from itertools import pairwise


@dataclass
class Said:
    """A message."""

    id: str
    parent: str | None
    depth: int
    role: str
    state: str
    text: str
    stream: str | None = None
    active: str | None = None
    summary: str | None = None
    created: float = 0.0
    moved: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    """Of an answer: which pointers its beginning has moved, to what, and from what."""


@dataclass
class Conversation:
    """One session. Messages stand in the order they came."""

    id: str
    messages: dict[str, Said] = field(default_factory=dict)
    root: str | None = None
    leaf: str | None = None
    updated: float = 0.0
    was: float = 0.0
    """`updated` before the newest answer was begun."""
    summaries: dict[str, int] = field(default_factory=dict)  # id -> depth

    def branch(self) -> list[str]:
        """The active branch."""
        found, at = [], self.root
        while at is not None:
            found.append(at)
            at = self.messages[at].active
        return found

    def end(self) -> str | None:
        """The last message of the active branch."""
        branch = self.branch()
        return branch[-1] if branch else None

    def family(self, message: Said) -> tuple[str, ...]:
        ids = tuple(other.id for other in self.messages.values() if other.parent == message.parent)
        return ids if len(ids) > 1 else ()

    def running(self) -> list[Said]:
        return [message for message in self.messages.values() if message.state == "running"]

    def ancestors(self, message_id: str) -> list[str]:
        """The message and those above it, upwards."""
        found, at = [message_id], self.messages[message_id].parent
        while at is not None:
            found.append(at)
            at = self.messages[at].parent
        return found

    def pointers(self) -> dict[str, str | None]:
        """What is active under each message, and first of all."""
        return {"": self.root, **{message.id: message.active for message in self.messages.values()}}

    def point(self, parent: str, child: str | None) -> None:
        if parent:
            self.messages[parent].active = child
        else:
            self.root = child

    def begin(self, question: Said | None, answer: Said, now: float) -> None:
        before = self.pointers()
        for new in (question, answer):
            if new is not None:
                self.messages[new.id] = new
                if new.parent is not None:
                    new.depth = self.messages[new.parent].depth + 1
                    new.summary = self.messages[new.parent].summary
        self.switch(answer.id)
        active = self.pointers()
        answer.moved = [(parent, active[parent], was) for parent, was in before.items() if active[parent] != was]
        answer.created = now
        self.was, self.updated = self.updated, now

    def switch(self, message_id: str) -> None:
        path = self.ancestors(message_id)
        for child, parent in pairwise(path):
            self.messages[parent].active = child
        self.root = path[-1]
        leaf = message_id
        while (below := self.messages[leaf].active) is not None:
            leaf = below
        self.leaf = leaf

    def withdraw(self, answer_id: str) -> bool:
        """Undo the newest beginning, where it has no words; who has switched away since stays there."""
        answer = self.messages[answer_id]
        if answer.role != "assistant" or answer.text or list(self.messages)[-1] != answer_id:
            return False
        assert answer.parent is not None
        gone = [answer_id]
        if [message.id for message in self.messages.values() if message.parent == answer.parent] == gone:
            gone.append(answer.parent)
        for parent, child, was in answer.moved:
            if self.pointers()[parent] == child and (self.leaf == answer_id or child in gone):
                self.point(parent, was)
        for message_id in gone:
            del self.messages[message_id]
        if self.leaf == answer_id:
            self.leaf = self.end()
        if self.updated == answer.created:
            self.updated = self.was
        return True

    def summarise(self, summary_id: str, message_id: str) -> None:
        depth = self.messages[message_id].depth
        self.summaries[summary_id] = depth
        for message in self.messages.values():
            if message_id in self.ancestors(message.id):
                known = message.summary
                if known is None or self.summaries[known] <= depth:
                    message.summary = summary_id

    def clear(self) -> None:
        self.messages, self.summaries = {}, {}
        self.root = self.leaf = None
