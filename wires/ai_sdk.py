"""The wire of the AI SDK: its UI message stream, version 1, using only parts that its versions 5, 6 and 7 all accept.

A client treats an unknown part, a null or an empty event as an error of its chat, and a body that ends without
`finish` as success. So optional fields are left out, and every stream ends with `error` or `finish`.
"""

import json
from typing import assert_never

from domain import events as on
from domain.citations import shown
from domain.errors import error_kind
from wires.frames import block, progress, quote

HEADERS = ((b"x-vercel-ai-ui-message-stream", b"v1"),)
# One LF, as on the events wire: a blank line after it would be an empty event in some parsers.
HEARTBEAT = b": hb\n"

_START_STEP = block({"type": "start-step"})
_FINISH_STEP = block({"type": "finish-step"})
_DONE = b"data: [DONE]\n\n"
_FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "tool_calls": "tool-calls",
}


class AiSdkEncoder:
    """Encodes one stream, beginning with its first event: it remembers the open part and the tool calls."""

    __slots__ = ("_before_delta", "_calls", "_number", "_open", "_stream_id")

    def __init__(self, stream_id: str) -> None:
        self._stream_id = stream_id
        self._open = ""  # `text` or `reasoning`
        self._number = 0  # of the open part, or of the last one
        self._before_delta = ""
        self._calls: dict[str, list[str]] = {}  # by id: the tool's name, then the pieces of the arguments

    def encode(self, seq: int, event: on.AnswerEvent) -> bytes:
        """Event number `seq` as parts, one per block."""
        if isinstance(event, on.Delta):  # nearly every event
            return self._said("text", event.text)
        return self._encode_rare(event)

    def _encode_rare(self, event: on.Rare) -> bytes:
        match event:
            case on.Started(message_id=message_id):
                # The same id on every reading, so that a client that reads again replaces its copy of the message.
                blocks = block({"type": "start", "messageId": message_id or self._stream_id}) + _START_STEP
            case on.Reasoning(text):
                blocks = self._said("reasoning", text)
            case on.ToolCall():
                blocks = self._close() + self._called(event)
            case on.Quoted():
                blocks = block(_source(event))
            case on.Retrieving() | on.Stalled() | on.Retrying() | on.Switched():
                # Transient: passed to the page's `onData`, and never part of the message.
                blocks = block({"type": "data-status", "data": progress(event), "transient": True})
            case on.Unknown():  # the protocol has no part for it
                blocks = b""
            case on.Done() | on.Failed() | on.Cancelled():
                blocks = self._close() + self._ended(event)
            case _:
                assert_never(event)
        return blocks

    def _ended(self, event: on.Terminal) -> bytes:
        match event:
            case on.Done(finish_reason):
                calls = b"".join([_whole_call(call_id, *call) for call_id, call in self._calls.items()])
                return calls + _FINISH_STEP + _finish(_FINISH_REASONS.get(finish_reason, "other"))
            case on.Failed(code):
                return block({"type": "error", "errorText": error_kind(code).message}) + _DONE
            case on.Cancelled():
                return _FINISH_STEP + block({"type": "abort"}) + _finish("other")
            case _:
                assert_never(event)

    def _said(self, kind: str, text: str) -> bytes:
        opening = b""
        if self._open != kind:
            opening = self._close()
            self._number += 1
            self._open = kind
            part_id = f"{kind}-{self._number}"
            self._before_delta = f'data: {{"type":"{kind}-delta","id":"{part_id}","delta":'
            opening += block({"type": f"{kind}-start", "id": part_id})
        return opening + f"{self._before_delta}{quote(text)}}}\n\n".encode("ascii")

    def _called(self, event: on.ToolCall) -> bytes:
        opening = b""
        if event.id not in self._calls:
            name = event.name or ""
            self._calls[event.id] = [name]
            opening = block({"type": "tool-input-start", "toolCallId": event.id, "toolName": name})
        if not event.arguments:
            return opening
        self._calls[event.id].append(event.arguments)
        return opening + block({"type": "tool-input-delta", "toolCallId": event.id, "inputTextDelta": event.arguments})

    def _close(self) -> bytes:
        if not self._open:
            return b""
        kind, self._open = self._open, ""
        return block({"type": f"{kind}-end", "id": f"{kind}-{self._number}"})


def _source(event: on.Quoted) -> dict[str, object]:
    """The document as a source, with the quoted passage as metadata for pages that show it."""
    return {
        "type": "source-document",
        "sourceId": event.id,
        "mediaType": event.media_type or "text/plain",
        "title": event.title,
        "providerMetadata": {"streamforge": shown(event)},
    }


def _whole_call(call_id: str, name: str, *pieces: str) -> bytes:
    """The part on which a client runs the tool; an error part if the arguments are not valid JSON."""
    written = "".join(pieces)
    call = {"toolCallId": call_id, "toolName": name}
    try:
        return block({"type": "tool-input-available", **call, "input": json.loads(written or "{}")})
    except ValueError:
        why = "The model wrote this call wrongly. Ask again."
        return block({"type": "tool-input-error", **call, "input": written, "errorText": why})


def _finish(reason: str) -> bytes:
    return block({"type": "finish", "finishReason": reason}) + _DONE
