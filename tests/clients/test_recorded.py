"""The recorded streams of `tests/wires/golden`, read back by the clients that they are for."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest

from tests.clients.node import Node
from tests.clients.test_ag_ui import Agent
from tests.clients.test_ai_sdk import text_of
from tests.support.recorded import recorded
from tests.wires.test_golden import DELTAS, GOLDEN

CALLS = [("get_weather", {"city": "Zürich"}), ("now", {})]


@dataclass
class Read:
    """What a client has made of a stream; `end` is how it ended, in its own words."""

    text: str
    end: str
    thoughts: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    tokens: int | None = None


def with_python(node: Node, body: bytes) -> Read:
    """openai from PyPI."""
    with recorded(body) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        chunks: list[Any] = []
        end = ""
        try:
            chunks.extend(client.chat.completions.create(model="m", messages=[], stream=True))
        except openai.APIError as error:
            end = str(error.code)
    return _completed([chunk.to_dict() for chunk in chunks], end)


def with_npm(node: Node, body: bytes) -> Read:
    """openai from npm."""
    with recorded(body) as url:
        answer = node.ask("openai", url=url, request={"model": "m", "messages": [], "stream": True})
    return _completed(answer["chunks"], answer.get("error", {}).get("code", ""))


def _completed(chunks: list[dict[str, Any]], end: str) -> Read:
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    deltas = [choice["delta"] for choice in choices]
    calls: dict[int, tuple[str, str]] = {}
    for call in (call for delta in deltas for call in delta.get("tool_calls", [])):
        name, arguments = calls.get(call["index"], (call["function"].get("name"), ""))
        calls[call["index"]] = (name, arguments + call["function"]["arguments"])
    return Read(
        "".join(delta.get("content") or "" for delta in deltas),
        end or choices[-1]["finish_reason"],
        "".join(delta.get("reasoning_content") or "" for delta in deltas),
        [(name, json.loads(arguments)) for name, arguments in calls.values()],
        (chunks[-1].get("usage") or {}).get("total_tokens"),
    )


def with_ai_sdk(version: int) -> Callable[[Node, bytes], Read]:
    """`ai`, in one of its versions."""

    def read(node: Node, body: bytes) -> Read:
        (outcome,) = node.ask("readMessage", version=version, body=base64.b64encode(body).decode())
        parts = outcome["message"]["parts"]
        return Read(
            text_of(outcome["message"]),
            "".join(outcome["errors"]),
            "".join(part["text"] for part in parts if part["type"] == "reasoning"),
            [(part["type"].removeprefix("tool-"), part["input"]) for part in parts if part["type"].startswith("tool-")],
        )

    return read


def with_ag_ui(node: Node, body: bytes) -> Read:
    """@ag-ui/client."""
    with recorded(body) as url:
        agent = Agent(node, url)
        agent.run("x")
    assert agent.now["failed"] is None
    messages, last = agent.messages[1:], agent.events[-1]
    functions = [call["function"] for message in messages for call in message.get("toolCalls", [])]
    return Read(
        "".join(message.get("content") or "" for message in messages if message["role"] == "assistant"),
        last.get("code") or last.get("outcome", {}).get("type", last["type"]),
        "".join(message["content"] for message in messages if message["role"] == "reasoning"),
        [(function["name"], json.loads(function["arguments"])) for function in functions],
    )


TOLD = "The model's server did not answer in time. Try again shortly."
CLIENTS: dict[str, tuple[str, Callable[[Node, bytes], Read], dict[str, str]]] = {
    "openai, PyPI": ("openai", with_python, {"error": "provider_timeout", "cancelled": "stream_cancelled"}),
    "openai, npm": ("openai", with_npm, {"error": "provider_timeout", "cancelled": "stream_cancelled"}),
    **{f"ai {version}": ("ai_sdk", with_ai_sdk(version), {"error": TOLD, "cancelled": ""}) for version in (5, 6, 7)},
    "@ag-ui/client": ("ag_ui", with_ag_ui, {"error": "provider_timeout", "cancelled": "cancelled"}),
}
WHOLE = {"openai": "stop", "ai_sdk": "", "ag_ui": "RUN_FINISHED"}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", ["done", "error", "cancelled", "failover", "calls"])
def test_a_recorded_stream_is_read_back(node: Node, client: str, name: str) -> None:
    wire, read, ends = CLIENTS[client]
    heard = read(node, (GOLDEN / f"{wire}-{name}.sse").read_bytes())
    end = ends.get(name, WHOLE[wire])
    match name:
        case "failover":
            assert heard == Read("an answer", end, "so \u2028 so")
        case "calls":
            assert heard == Read("Let me see. ", "tool_calls" if wire == "openai" else end, calls=CALLS)
        case _:
            assert heard == Read("".join(DELTAS), end)


@pytest.mark.parametrize("client", ["openai, PyPI", "openai, npm"])
def test_usage_at_the_end_is_read_back(node: Node, client: str) -> None:
    _, read, _ = CLIENTS[client]
    assert read(node, (GOLDEN / "openai-usage.sse").read_bytes()) == Read("an answer", "stop", tokens=29)
