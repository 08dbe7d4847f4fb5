"""A scripted model with many parts: its answer depends on the message, so that one serves many tests at once."""

import contextlib
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support.provider import Answer, Provider, Script, scripted_provider


@dataclass
class Part:
    """The model's answer to one message. The message's text is the part's tag, which is in every word of the answer.

    The answer has `words` words, `every` seconds apart, `held` of them only once `go` is set. `trouble` is played
    instead, by the first `fails` requests.
    """

    words: int = 6
    held: int = 0
    every: float = 0.0
    trouble: Script | None = None
    fails: int = 1
    tag: str = field(default_factory=lambda: f"part-{secrets.token_hex(6)}")
    go: threading.Event = field(default_factory=threading.Event)
    asked: int = 0
    spoken: int = 0
    """How often it was asked, and how often it sent a word, which is what one pays for."""
    left: int = 0
    """How often the client left before the end."""

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(self.word(number) for number in range(self.words))

    def word(self, number: int) -> str:
        return f"{self.tag}.{number} "

    def play(self, answer: Answer) -> None:
        """Answer one request."""
        self.asked += 1
        if self.trouble is not None and self.asked <= self.fails:
            self.trouble(answer)
            return
        self.spoken += 1
        for number in range(self.words):
            if number == self.words - self.held and not self._may_go_on(answer):
                self.left += 1
                return
            if self.every and number and answer.until_client_leaves(self.every):
                self.left += 1
                return
            answer.chunk(self.word(number))
        answer.finish(usage=(11, self.words))

    def _may_go_on(self, answer: Answer) -> bool:
        while not self.go.is_set():
            if answer.until_client_leaves(0.02):
                return False
        return True


class Stage:
    """The scripted model and its parts."""

    def __init__(self) -> None:
        self._parts: dict[str, Part] = {}
        self.provider: Provider

    def cast(self, part: Part) -> Part:
        """Play this part from now on when its tag is asked."""
        self._parts[part.tag] = part
        return part

    def part(self, tag: str) -> Part | None:
        """The part that answers this message."""
        return self._parts.get(tag)

    def script(self, answer: Answer) -> None:
        """Play the part that is asked for; anything else asks for a title.

        Questions that were left without an answer come before it, in the same message.
        """
        part = self._parts.get(answer.request["messages"][-1]["content"].split()[-1])
        if part is None:
            answer.say("A ", "title")
        else:
            part.play(answer)


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """A running model server, stopped at the end."""
    made = Stage()
    with scripted_provider(made.script) as made.provider:
        yield made
