"""What /openapi.json says about event streams."""

from typing import Any

from routers.openapi.codes import responses

EXAMPLE_ID = "9f0c5d1e7a3b4c6d8e9f0a1b2c3d4e5f"
_ITEM = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "event": {
            "type": "string",
            "enum": ["message", "start", "delta", "reasoning", "tool_call", "status", "done", "error", "cancelled"],
            "description": "`message` stands for a block without a name: a piece of text in `format=text`, "
            "and every block of `format=openai`",
        },
        "data": {
            "type": "string",
            "description": "A piece of the text in `format=text`; else a JSON object, or `[DONE]` with `format=openai`",
        },
        "id": {"type": "string", "description": "`format=events` only: what to send as `Last-Event-ID`"},
        "retry": {"type": "integer", "description": "Milliseconds to wait before coming back"},
    },
}
_START = (
    f'event: start\ndata: {{"stream_id":"{EXAMPLE_ID}","model":"simulated","created":1763800000,'
    f'"resume":"/chat/streams/{EXAMPLE_ID}","cancel":"/chat/streams/{EXAMPLE_ID}/cancel"}}\n'
    f"retry: 1731\nid: {EXAMPLE_ID}-1\n\n"
    f'event: delta\ndata: {{"text":"Hello"}}\nid: {EXAMPLE_ID}-2\n\n'
)
_USAGE = '"usage":{"input_tokens":4,"output_tokens":1,"exact":false},"cost":null'
_EXAMPLES = {
    "text": {
        "summary": "format=text",
        "value": "data: This \n\ndata: is \n\ndata: a \n\ndata: simulated \n\ndata: streaming \n\ndata: response\n\n",
    },
    "events": {
        "summary": "format=events",
        "value": f'{_START}event: done\ndata: {{"finish_reason":"stop","model":"simulated",{_USAGE}}}\n'
        f"id: {EXAMPLE_ID}-3\n\n",
    },
    "events_cancelled": {
        "summary": "format=events, stopped on request",
        "value": f'{_START}event: cancelled\ndata: {{"reason":"requested",{_USAGE}}}\nid: {EXAMPLE_ID}-3\n\n',
    },
    "events_switched": {
        "summary": "format=events, answered by a fallback",
        "value": 'event: status\ndata: {"phase":"retrying","reason":"provider_overloaded","attempt":2,"delay":0.412}\n'
        f"id: {EXAMPLE_ID}-2\n\n"
        'event: status\ndata: {"phase":"model_switched","from":"gpt-5-mini","to":"local",'
        f'"reason":"provider_overloaded"}}\nid: {EXAMPLE_ID}-3\n\n',
    },
    "text_failed": {
        "summary": "format=text, failed in the middle",
        "value": 'data: Hello\n\nevent: error\ndata: {"code":"stream_timeout",'
        '"message":"The answer took longer than this server allows, and was stopped.",'
        f'"retryable":true,"status":504,{_USAGE}}}\n\n',
    },
}
STREAM_HEADERS = {
    "X-Stream-Id": {"description": "The stream's id, to resume or cancel it", "schema": {"type": "string"}},
    "X-Session-Id": {"description": "The session that it answers in, if it does", "schema": {"type": "string"}},
    "X-Request-Id": {"description": "The request's id, as in the server's log", "schema": {"type": "string"}},
}


def stream_responses(*codes: str, extra: dict[str, Any] | None = None) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that streams, or refuses with one of `codes`."""
    content = {"text/event-stream": {"itemSchema": _ITEM, "examples": _EXAMPLES}, **(extra or {})}
    return {
        200: {"description": "The answer, event by event", "content": content, "headers": STREAM_HEADERS},
        **responses(*codes),
    }
