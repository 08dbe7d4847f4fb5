"""The full native wire: every event named, in JSON, with an id to resume from.

It keeps no state: any event can be encoded by itself, from its number and the stream's id.
"""

import random
from typing import assert_never

from domain.events import (
    Cancelled,
    Delta,
    Done,
    Event,
    Failed,
    Reasoning,
    Retrying,
    Stalled,
    Started,
    Status,
    Switched,
    Terminal,
    ToolCall,
)
from domain.usage import account
from wires.frames import ending, failure, frame, progress, quote

# One LF: a blank line would dispatch an empty event in clients that have just read an `id:`.
HEARTBEAT = b": hb\n"


class EventsEncoder:
    """Encodes the events of one stream."""

    __slots__ = ("_id",)

    def __init__(self, stream_id: str) -> None:
        self._id = stream_id

    def encode(self, seq: int, event: Event) -> bytes:
        """Event number `seq` as one block."""
        if isinstance(event, Delta):  # nearly every event: spelled out, for speed
            return f'event: delta\ndata: {{"text":{quote(event.text)}}}\nid: {self._id}-{seq}\n\n'.encode("ascii")
        return self._encode_rare(f"{self._id}-{seq}", event)

    def _encode_rare(self, event_id: str, event: Started | Reasoning | ToolCall | Status | Terminal) -> bytes:
        match event:
            case Started():
                return _start(event, event_id)
            case Reasoning(text):
                return frame("reasoning", {"text": text}, event_id)
            case ToolCall(call_id, name, arguments):
                named = {"name": name} if name is not None else {}
                return frame("tool_call", {"id": call_id, **named, "arguments": arguments}, event_id)
            case Stalled() | Retrying() | Switched():
                return frame("status", progress(event), event_id)
            case Done(finish_reason, model, spent, message_id):
                stored = {"message_id": message_id} if message_id else {}
                data = {"finish_reason": finish_reason, "model": model, **account(spent), **stored}
                return frame("done", data, event_id)
            case Failed() | Cancelled():
                return frame(*ending(event), event_id)
            case _:
                assert_never(event)


def _start(event: Started, event_id: str) -> bytes:
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
    # Random, so that the clients of a restarted server do not all come back in the same moment.
    retry = random.randint(1000, 3000)  # noqa: S311 - spreads load, guards nothing
    return frame("start", data, event_id, retry=retry)


def gone() -> bytes:
    """The single block that tells a client which re-posts for ever that its stream is no more."""
    return frame("error", failure("stream_gone"))
