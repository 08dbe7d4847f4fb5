"""Reads a chat completion, whole or streamed, as a client does."""

import json
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.server import WITHOUT_PROXIES, LiveServer
from tests.support.sse import parse

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
PATIENCE = 150
"""Seconds: more than any model of the tests is given, so that the server says what was late. A real one that is
started for the request needs 25 on a machine with ten times as much to do as it can."""
NOW: dict[str, Any] = {"type": "function", "function": {"name": "now"}}


@dataclass(frozen=True)
class Completed:
    """An answer, or a refusal."""

    status: int
    headers: httpx.Headers
    chunks: list[dict[str, Any]]
    error: dict[str, Any] | None

    @property
    def choices(self) -> list[dict[str, Any]]:
        return [choice for chunk in self.chunks for choice in chunk["choices"]]

    @property
    def text(self) -> str:
        return "".join(choice["delta"].get("content") or "" for choice in self.choices)

    @property
    def thoughts(self) -> str:
        return "".join(choice["delta"].get("reasoning_content", "") for choice in self.choices)

    @property
    def calls(self) -> list[dict[str, str]]:
        """The calls of tools: `id`, `name` and `arguments` of each."""
        found: dict[int, dict[str, str]] = {}
        for choice in self.choices:
            for piece in choice["delta"].get("tool_calls", []):
                function = piece["function"]
                if "id" in piece:
                    found[piece["index"]] = {"id": piece["id"], "name": function["name"], "arguments": ""}
                found[piece["index"]]["arguments"] += function["arguments"]
        assert list(found) == list(range(len(found)))
        return list(found.values())

    @property
    def finish_reason(self) -> str:
        reasons = [choice["finish_reason"] for choice in self.choices if choice["finish_reason"]]
        assert len(reasons) == 1, reasons
        return str(reasons[0])


def post(server: LiveServer | str, *, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    """Post a request; the conversation is by default one word long."""
    url = server if isinstance(server, str) else server.url
    body = {"messages": [{"role": "user", "content": "hello"}], **fields}
    return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=PATIENCE, **WITHOUT_PROXIES)


def complete(server: LiveServer | str, **fields: Any) -> Completed:
    """Stream an answer to its end."""
    return completed(post(server, stream=True, **fields))


def completed(response: httpx.Response) -> Completed:
    """Read a response. A stream must end with the mark `[DONE]`; an error comes in the last block before it."""
    if response.headers["content-type"] == "application/json":
        return Completed(response.status_code, response.headers, [], response.json()["error"])
    *blocks, mark = parse(response.content)
    assert mark.data == "[DONE]"
    data = [json.loads(block.data) for block in blocks]
    error = data.pop()["error"] if "error" in data[-1] else None
    return Completed(response.status_code, response.headers, data, error)
