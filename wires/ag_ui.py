"""The wire of AG-UI 1.0: the events of an agent's run, each a block of JSON in camelCase without nulls.

Line ends are LF only: a CR breaks its client. A stream is a run; each stretch of its text is one message.
"""

from typing import assert_never

from domain import events as on
from domain.citations import shown
from domain.errors import error_kind
from wires.frames import block, progress, quote

HEARTBEAT = b": hb\n"


class AgUiEncoder:
    """Encodes one stream, beginning with its first event: it remembers the open message and the tool calls.

    `thread_id` and `run_id` are the client's ids for the conversation and the run. For a stream that was not started
    on this wire they are the session's id and the stream's.
    """

    __slots__ = (
        "_before_delta", "_calls", "_message_id", "_number", "_open", "_open_id", "_run_id", "_stream_id", "_thread_id",
    )  # fmt: skip

    def __init__(self, stream_id: str, *, thread_id: str | None = None, run_id: str | None = None) -> None:
        self._stream_id = stream_id
        self._thread_id = thread_id
        self._run_id = run_id or stream_id
        self._message_id = stream_id
        self._open = ""  # `TEXT` or `REASONING`
        self._open_id = ""
        self._number = {"TEXT": 0, "REASONING": 0}  # how many messages of each kind were begun
        self._before_delta = ""
        self._calls: list[str] = []  # the ids of the calls begun: their pieces may be interleaved

    def encode(self, seq: int, event: on.AnswerEvent) -> bytes:
        """Event number `seq` as events of this wire, one a block."""
        if isinstance(event, on.Delta):  # nearly every event
            return self._said("TEXT", event.text)
        return self._encode_rare(event)

    def _encode_rare(self, event: on.Rare) -> bytes:
        match event:
            case on.Started():
                self._message_id = event.message_id or self._stream_id
                self._thread_id = self._thread_id or event.session_id or self._stream_id
                blocks = block({"type": "RUN_STARTED", **self._run()})
            case on.Reasoning(text):
                blocks = self._said("REASONING", text)
            case on.ToolCall():
                blocks = self._close() + self._called(event)
            case on.Quoted():
                blocks = block({"type": "CUSTOM", "name": "source", "value": shown(event)})
            case on.Retrieving() | on.Stalled() | on.Retrying() | on.Switched():
                blocks = block({"type": "CUSTOM", "name": "status", "value": progress(event)})
            case on.Unknown():  # the protocol has no event for it
                blocks = b""
            case on.Done() | on.Failed() | on.Cancelled():
                blocks = self._close() + self._ended(event)
            case _:
                assert_never(event)
        return blocks

    def _ended(self, event: on.Terminal) -> bytes:
        match event:
            case on.Done():
                calls = b"".join([block({"type": "TOOL_CALL_END", "toolCallId": call}) for call in self._calls])
                return calls + block({"type": "RUN_FINISHED", **self._run()})
            case on.Failed(code):
                return _failed(code)
            case on.Cancelled() if (
                self._calls
            ):  # a finished run may contain complete calls only, and the client must not run half of one
                return _failed("stream_cancelled")
            case on.Cancelled():
                return block({"type": "RUN_FINISHED", **self._run(), "outcome": {"type": "cancelled"}})
            case _:
                assert_never(event)

    def _run(self) -> dict[str, object]:
        return {"threadId": self._thread_id, "runId": self._run_id}

    def _called(self, event: on.ToolCall) -> bytes:
        opening = b""
        if event.id not in self._calls:
            self._calls.append(event.id)
            self._number["TEXT"] = self._number["TEXT"] or 1  # the calls are in the first message, which is now begun
            opening = block(
                {
                    "type": "TOOL_CALL_START",
                    "toolCallId": event.id,
                    "toolCallName": event.name or "",
                    "parentMessageId": self._message_id,
                }
            )
        if not event.arguments:
            return opening
        return opening + block({"type": "TOOL_CALL_ARGS", "toolCallId": event.id, "delta": event.arguments})

    def _said(self, kind: str, text: str) -> bytes:
        opening = b""
        if self._open != kind:
            opening = self._close() + self._begin(kind)
        return opening + f"{self._before_delta}{quote(text)}}}\n\n".encode("ascii")

    def _begin(self, kind: str) -> bytes:
        """Opens a message. The first text message has the stored message's id, every other one an id of its own."""
        self._open = kind
        self._number[kind] += 1
        number = self._number[kind]
        if kind == "TEXT":
            self._open_id = self._message_id if number == 1 else f"{self._message_id}-{number}"
            before = block({"type": "TEXT_MESSAGE_START", "messageId": self._open_id, "role": "assistant"})
        else:
            self._open_id = f"{self._message_id}-reasoning-{number}"
            message = {"messageId": self._open_id}
            before = block({"type": "REASONING_START", **message})
            before += block({"type": "REASONING_MESSAGE_START", **message, "role": "reasoning"})
        self._before_delta = f'data: {{"type":"{kind}_MESSAGE_CONTENT","messageId":"{self._open_id}","delta":'
        return before

    def _close(self) -> bytes:
        if not self._open:
            return b""
        kind, self._open = self._open, ""
        ended = block({"type": f"{kind}_MESSAGE_END", "messageId": self._open_id})
        if kind == "REASONING":
            ended += block({"type": "REASONING_END", "messageId": self._open_id})
        return ended


def _failed(code: str) -> bytes:
    return block({"type": "RUN_ERROR", "message": error_kind(code).message, "code": code})
