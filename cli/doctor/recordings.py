"""What one request was answered with, and when: all that findings are made of."""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal

MAX_BYTES = 64 * 1024
"""Of a body. A probe has a few thousand; who sends more is no StreamForge."""

Ending = Literal["", "whole", "cut", "late", "left"]

_UNPRINTABLE = re.compile(r"[^ -~]+")


def printable(text: str, most: int = 200) -> str:
    """What others wrote, so that it can neither move the cursor nor fill the screen."""
    return _UNPRINTABLE.sub(" ", text)[:most]


@dataclass(frozen=True, slots=True)
class Block:
    """One event, and when it arrived: in seconds after the request was begun, as everywhere here."""

    event: str
    data: dict[str, Any]
    at: float


@dataclass(slots=True)
class Recording:
    """A request and its answer.

    `failure` is a sentence where there was no answer at all, `opened` when its headers came. Of the ends of a body
    `cut` is a broken one, `late` one that nobody waited for any longer, and `left` one that the doctor hung up on.
    """

    failure: str = ""
    status: int = 0
    http_version: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    opened: float = 0.0
    blocks: list[Block] = field(default_factory=list)
    beats: list[float] = field(default_factory=list)
    ended: float = 0.0
    ending: Ending = ""
    refusal: dict[str, Any] = field(default_factory=dict)
    """The problem of a refusal, where it is one of ours."""

    def all(self, event: str) -> list[Block]:
        """The blocks of this name."""
        return [block for block in self.blocks if block.event == event]

    @property
    def start(self) -> dict[str, Any] | None:
        """What the server says of a probe, if it is one."""
        first = self.blocks[0] if self.blocks else None
        return first.data if first and first.event == "start" and "probe" in first.data else None

    @property
    def frames(self) -> list[Block]:
        """The frames of a probe, without what is none."""
        return [
            block
            for block in self.all("frame")
            if isinstance(block.data.get("number"), int) and isinstance(block.data.get("at"), int | float)
        ]

    @property
    def last_arrival(self) -> float:
        """When anything arrived for the last time."""
        return max([self.opened, *self.beats, *(block.at for block in self.blocks)])


class Parser:
    """Reads an event stream into a recording. `feed` it the pieces of a body as they arrive."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._rest = b""
        self._event = "message"
        self._data = ""

    def feed(self, piece: bytes, at: float) -> None:
        """These bytes have arrived now."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._read(line.decode("utf-8", "replace").removesuffix("\r"), at)

    def _read(self, line: str, at: float) -> None:
        name, _, value = line.partition(":")
        if line.startswith(":"):
            self._recording.beats.append(at)
        elif name == "event":
            self._event = value.strip()
        elif name == "data":
            self._data = value.strip()
        elif not line and self._data:
            self._recording.blocks.append(Block(self._event, json_object(self._data), at))
            self._event, self._data = "message", ""


def json_object(text: str | bytes) -> dict[str, Any]:
    """The JSON object that this is, or an empty one."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
