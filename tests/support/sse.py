"""An event stream parser written from the WHATWG HTML standard, "Interpreting an event stream", and nothing else.

It shares no code with the product, and shows comments and unterminated rests too, which browsers hide.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Message:
    """What a browser would dispatch."""

    event: str
    data: str
    last_event_id: str


@dataclass
class Parser:
    """Feed it bytes in any pieces; read `messages`."""

    messages: list[Message] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    retry: int | None = None
    _bytes: bytes = b""
    _begun: bool = False
    _data: str = ""
    _event: str = ""
    _id: str = ""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        self._bytes += chunk
        if not self._begun and len(self._bytes) >= 3:
            self._begun = True
            self._bytes = self._bytes.removeprefix(b"\xef\xbb\xbf")
        while (line := self._line()) is not None:
            self._interpret(line.decode("utf-8", "replace"))

    @property
    def rest(self) -> bytes:
        """Bytes of a line that has not ended."""
        return self._bytes

    def _line(self) -> bytes | None:
        ends = [place for place in (self._bytes.find(b"\n"), self._bytes.find(b"\r")) if place >= 0]
        if not ends:
            return None
        end = min(ends)
        if self._bytes[end : end + 1] == b"\r":
            if end + 1 == len(self._bytes):
                return None  # an LF may follow
            after = end + (2 if self._bytes[end + 1 : end + 2] == b"\n" else 1)
        else:
            after = end + 1
        line, self._bytes = self._bytes[:end], self._bytes[after:]
        return line

    def _interpret(self, line: str) -> None:
        if not line:
            self._dispatch()
            return
        if line.startswith(":"):
            self.comments.append(line[1:])
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._event = value
            case "data":
                self._data += value + "\n"
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry = int(value)

    def _dispatch(self) -> None:
        data, event = self._data, self._event
        self._data = self._event = ""
        if data:
            self.messages.append(Message(event or "message", data.removesuffix("\n"), self._id))


def parse(body: bytes) -> list[Message]:
    """The messages of a whole body."""
    parser = Parser()
    parser.feed(body)
    return parser.messages


def text_of(body: bytes) -> str:
    """The answer that a body of the text wire amounts to."""
    return "".join(message.data for message in parse(body) if message.event == "message")
