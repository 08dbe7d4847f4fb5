"""The full native wire: every event has a name, JSON data, and an id to resume from.

It keeps no state: any event can be encoded by itself, from its number and the stream's id.
"""

import random
from typing import assert_never

from domain import events as on
from domain.citations import shown
from domain.usage import account
from wires.frames import ending, failure, frame, present, progress, quote

# One LF: a blank line would dispatch an empty event in clients that have just read an `id:`.
HEARTBEAT = b": hb\n"
_NAMES = frozenset(
    ("start", "delta", "reasoning", "tool_call", "source", "status", "done", "error", "cancelled", "message")
)


class EventsEncoder:
    """Encodes the events of one stream."""

    __slots__ = ("_id",)

    def __init__(self, stream_id: str) -> None:
        self._id = stream_id

    def encode(self, seq: int, event: on.AnswerEvent) -> bytes:
        """Event number `seq` as one block."""
        if isinstance(event, on.Delta):  # nearly every event: spelled out, for speed
            return f'event: delta\ndata: {{"text":{quote(event.text)}}}\nid: {self._id}-{seq}\n\n'.encode("ascii")
        return self._encode_rare(f"{self._id}-{seq}", event)

    def _encode_rare(self, event_id: str, event: on.Rare) -> bytes:
        name: str
        data: dict[str, object]
        match event:
            case on.Started():
                return _start(event, event_id)
            case on.Reasoning(text):
                name, data = "reasoning", {"text": text}
            case on.ToolCall(call_id, tool, arguments):
                name, data = "tool_call", present(id=call_id, name=tool, arguments=arguments)
            case on.Quoted():
                name, data = "source", shown(event)
            case on.Retrieving() | on.Stalled() | on.Retrying() | on.Switched():
                name, data = "status", progress(event)
            case on.Done():
                name, data = "done", _done(event)
            case on.Failed() | on.Cancelled():
                name, data = ending(event)
            case on.Unknown():
                return _unknown(event, event_id)
            case _:
                assert_never(event)
        return frame(name, data, event_id)


def _start(event: on.Started, event_id: str) -> bytes:
    path = f"/chat/streams/{event.stream_id}"
    data: dict[str, object] = {
        "stream_id": event.stream_id,
        "model": event.model,
        "created": event.created,
        "resume": path,
        "cancel": f"{path}/cancel",
    }
    if event.session_id:
        data |= {"session_id": event.session_id, "message_id": event.message_id}
    # Random, so that the clients of a restarted server do not all reconnect at the same moment.
    retry = random.randint(1000, 3000)  # noqa: S311 - spreads load, guards nothing
    return frame("start", data, event_id, retry=retry)


def _unknown(event: on.Unknown, event_id: str) -> bytes:
    """The event under its own name, for clients newer than this server; nothing if the name already has a meaning."""
    if event.kind in _NAMES:
        return b""
    return f"event: {event.kind}\ndata: {event.fields}\nid: {event_id}\n\n".encode("ascii")


def _done(event: on.Done) -> dict[str, object]:
    leaning = present(
        message_id=event.message_id,
        sources=list(event.sources) if event.sources is not None else None,
        unknown_marks=event.unknown_marks or None,
    )
    return {"finish_reason": event.finish_reason, "model": event.model, **account(event.spent), **leaning}


def gone() -> bytes:
    """The only block of a response to a client that keeps retrying a stream that no longer exists."""
    return frame("error", failure("stream_gone"))
