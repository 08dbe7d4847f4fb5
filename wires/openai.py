"""OpenAI's wire: chat completions in chunks, in the form that its SDKs and everything built on them read.

All chunks of a stream have the same id, time and model. There are only `data:` lines: with an `id:` or an `event:`
line, some clients see an extra event. An incomplete stream ends in an error, which the SDKs raise, and never in a mere
`[DONE]`, which they take for success.
"""

import json
from collections.abc import Sequence
from typing import Any, assert_never

from domain import events as on
from domain.citations import marks
from domain.errors import error_kind
from domain.streams import StreamInfo, said
from domain.usage import Usage
from wires.frames import quote

# One LF: a blank line would be an empty event to openai-python.
HEARTBEAT = b": hb\n"

_DONE = "data: [DONE]\n\n"
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
# Our codes that OpenAI's clients know under another name.
_CODES = {
    "context_overflow": "context_length_exceeded",
    "rate_limited": "rate_limit_exceeded",
    "unauthenticated": "invalid_api_key",
}


class OpenAIEncoder:
    """Encodes one stream, beginning with its first event: it remembers how all chunks begin, and the tool calls.

    With `usage`, a last chunk has the tokens that the stream used, and in every other chunk the field is null.
    """

    __slots__ = ("_after", "_before", "_calls", "_content", "_empty", "_head", "_quoted", "_said", "_usage")

    def __init__(self, stream_id: str, *, usage: bool = False) -> None:
        self._head = f'data: {{"id":"{completion_id(stream_id)}","object":"chat.completion.chunk"'
        self._usage = usage
        self._empty = ',"usage":null' if usage else ""
        self._before = self._content = self._after = ""  # set by the first event
        self._calls: dict[str, int] = {}
        self._quoted: list[on.Quoted] = []
        self._said: list[str] = []  # kept only if passages were quoted, to find the citations

    def encode(self, seq: int, event: on.AnswerEvent) -> bytes:
        """The blocks of event number `seq`."""
        if isinstance(event, on.Delta):  # nearly every event: spelled out, for speed
            if self._quoted:
                self._said.append(event.text)
            return (self._content + quote(event.text) + self._after).encode("ascii")
        return self._encode_rare(event).encode("ascii")

    def _encode_rare(self, event: on.Rare) -> str:
        match event:
            case on.Started():
                blocks = self._start(event)
            case on.Reasoning(text):
                blocks = f'{self._before}"reasoning_content":{quote(text)}{self._after}'
            case on.ToolCall():
                blocks = f'{self._before}"tool_calls":[{_json(self._call(event))}]{self._after}'
            case on.Quoted():
                self._quoted.append(event)
                blocks = ""
            case on.Retrieving() | on.Stalled() | on.Retrying() | on.Switched() | on.Unknown():
                blocks = ""
            case on.Done():
                blocks = self._end(event)
            case on.Failed() | on.Cancelled():
                code = event.code if isinstance(event, on.Failed) else "stream_cancelled"
                blocks = f"data: {_json({'error': failure(code)})}\n\n{_DONE}"
            case _:
                assert_never(event)
        return blocks

    def _start(self, event: on.Started) -> str:
        self._head += f',"created":{event.created},"model":{quote(event.model)}'
        self._before = f'{self._head},"choices":[{{"index":0,"delta":{{'
        self._content = f'{self._before}"content":'
        self._after = f'}},"finish_reason":null}}]{self._empty}}}\n\n'
        return f'{self._before}"role":"assistant","content":""{self._after}'

    def _call(self, event: on.ToolCall) -> dict[str, Any]:
        index = self._calls.setdefault(event.id, len(self._calls))
        if event.name is None:
            return {"index": index, "function": {"arguments": event.arguments}}
        return {"index": index, **_whole(event.id, event.name, event.arguments)}

    def _end(self, event: on.Done) -> str:
        choice = f'{{"index":0,"delta":{{}},"finish_reason":"{_reason(event)}"}}'
        blocks = ""
        if cited := annotations("".join(self._said), self._quoted):
            blocks = f'{self._before}"annotations":{_json(cited)}{self._after}'
        blocks += f'{self._head},"choices":[{choice}]{self._empty}}}\n\n'
        if self._usage:
            blocks += f'{self._head},"choices":[],"usage":{_json(_used(event.spent.usage))}}}\n\n'
        return blocks + _DONE


def completion_id(stream_id: str) -> str:
    """The stream's id in OpenAI's form."""
    return f"chatcmpl-{stream_id}"


def completion(info: StreamInfo, events: Sequence[on.Event], end: on.Done) -> bytes:
    """A whole answer as one object, for clients that do not stream."""
    calls: dict[str, list[str]] = {}
    for event in events:
        if isinstance(event, on.ToolCall):
            calls.setdefault(event.id, [event.name or ""]).append(event.arguments)
    text = said(events)
    thoughts = "".join([event.text for event in events if isinstance(event, on.Reasoning)])
    message: dict[str, Any] = {"role": "assistant", "content": None if calls and not text else text, "refusal": None}
    if cited := annotations(text, [event for event in events if isinstance(event, on.Quoted)]):
        message["annotations"] = cited
    if thoughts:
        message["reasoning_content"] = thoughts
    if calls:
        message["tool_calls"] = [_whole(call, name, "".join(parts)) for call, (name, *parts) in calls.items()]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(end)}
    answer = {
        "id": completion_id(info.id),
        "object": "chat.completion",
        "created": info.created,
        "model": info.model,
        "choices": [choice],
        "usage": _used(end.spent.usage),
    }
    return _json(answer).encode("ascii")


def annotations(text: str, quoted: Sequence[on.Quoted]) -> list[dict[str, Any]]:
    """OpenAI's annotations for the citations in the text: each has the document's path on this server as its URL."""
    passages = {event.number: event for event in quoted}
    if not passages:
        return []
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": mark.start,
                "end_index": mark.end,
                "title": passages[mark.number].title,
                "url": _address(passages[mark.number]),
            },
        }
        for mark in marks(text)
        if mark.number in passages
    ]


def _address(event: on.Quoted) -> str:
    page = f"#page={event.page}" if event.page is not None else ""
    return f"/documents/{event.document_id}/content{page}"


def failure(
    code: str, message: str | None = None, *, status: int | None = None, param: str | None = None
) -> dict[str, str | None]:
    """An error in OpenAI's form, used before and after the first byte. `code` is a key of `domain.errors.ERRORS`."""
    kind = error_kind(code)
    status = status or kind.status
    return {
        "message": message or kind.message,
        "type": _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error"),
        "param": param,
        "code": _CODES.get(code, code),
    }


def _reason(event: on.Done) -> str:
    """The finish reason; `stop` for one that only a newer version knows, since clients accept a closed list."""
    return event.finish_reason if on.understood(event) else "stop"


def _whole(id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _used(usage: Usage) -> dict[str, Any]:
    used: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    if usage.cached_tokens is not None:
        used["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens is not None:
        used["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return used


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
