"""The response to one request, and when its parts arrived: the input of all findings."""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal

MAX_BYTES = 64 * 1024
"""Bytes of a body. A probe has a few thousand; a server that sends more is not a StreamForge."""

BodyEnd = Literal["", "whole", "cut", "late", "left"]

_UNPRINTABLE = re.compile(r"[^ -~]+")


def printable(text: str, most: int = 200) -> str:
    """Text from others, made safe: it can neither move the cursor nor fill the screen."""
    return _UNPRINTABLE.sub(" ", text)[:most]


@dataclass(frozen=True, slots=True)
class Block:
    """One event, and when it arrived, in seconds since the request was begun, as everywhere here."""

    event: str
    data: dict[str, Any]
    at: float


@dataclass(slots=True)
class Recording:
    """A request and its response.

    `failure` is a sentence if there was no response at all; `opened` is when its headers arrived. A body that ended as
    `cut` was broken off, `late` means that the doctor stopped waiting, and `left` that it hung up.
    """

    failure: str = ""
    status: int = 0
    http_version: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    opened: float = 0.0
    blocks: list[Block] = field(default_factory=list)
    beats: list[float] = field(default_factory=list)
    ended: float = 0.0
    ending: BodyEnd = ""
    refusal: dict[str, Any] = field(default_factory=dict)
    """The problem document, if the response is a refusal of StreamForge."""

    def all(self, event: str) -> list[Block]:
        """The blocks with this event name."""
        return [block for block in self.blocks if block.event == event]

    @property
    def start(self) -> dict[str, Any] | None:
        """The probe's start event; `None` if this is not a probe."""
        first = self.blocks[0] if self.blocks else None
        return first.data if first and first.event == "start" and "probe" in first.data else None

    @property
    def frames(self) -> list[Block]:
        """The well-formed frames of a probe."""
        return [
            block
            for block in self.all("frame")
            if isinstance(block.data.get("number"), int) and isinstance(block.data.get("at"), int | float)
        ]

    @property
    def last_arrival(self) -> float:
        """When anything arrived last."""
        return max([self.opened, *self.beats, *(block.at for block in self.blocks)])


class EventParser:
    """Parses an event stream into a recording. Call `feed` with the pieces of the body as they arrive."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._rest = b""
        self._event = "message"
        self._data = ""

    def feed(self, piece: bytes, at: float) -> None:
        """Take bytes that arrived at `at`."""
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
    """The JSON object in the text; an empty one if there is none."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
