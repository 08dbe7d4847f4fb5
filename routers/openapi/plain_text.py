"""What /openapi.json says about routes that stream JSON and refuse in plain text."""

from typing import Any

from routers.http.error_shapes import PLAIN_TEXT
from routers.openapi.codes import responses

_ITEM = {"type": "object", "required": ["data"], "properties": {"data": {"type": "string"}}}
_HEADERS = {
    "X-Stream-Id": {"description": "The stream's id, as on the native routes", "schema": {"type": "string"}},
    "X-Session-Id": {"description": "The session that the chat is", "schema": {"type": "string"}},
}


def text_stream(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that streams JSON in unnamed blocks, or refuses with one of the codes."""
    content = {"text/event-stream": {"itemSchema": _ITEM}}
    stream = {"description": "The answer, part by part", "content": content, "headers": _HEADERS}
    return {200: stream, **responses(*codes, shape=PLAIN_TEXT)}
