"""Reads an answer on the events wire, as a client does."""

import json
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.server import WITHOUT_PROXIES, LiveServer
from tests.support.sse import parse


@dataclass(frozen=True)
class Heard:
    """A whole answer."""

    status: int
    headers: httpx.Headers
    events: list[tuple[str, dict[str, Any]]]
    problem: dict[str, Any]

    @property
    def text(self) -> str:
        """The answer."""
        return "".join(data["text"] for name, data in self.events if name == "delta")

    @property
    def thoughts(self) -> str:
        """What the model thought."""
        return "".join(data["text"] for name, data in self.events if name == "reasoning")

    @property
    def phases(self) -> list[str]:
        """The data of the status events."""
        return [data["phase"] for name, data in self.events if name == "status"]

    def told(self, phase: str) -> list[dict[str, Any]]:
        """The data of the status events with this phase."""
        return [data for name, data in self.events if name == "status" and data["phase"] == phase]

    @property
    def last(self) -> tuple[str, dict[str, Any]]:
        """The terminal event; there is exactly one, and it is the last."""
        ends = [name for name, _ in self.events if name in ("done", "error", "cancelled")]
        assert len(ends) == 1, ends
        assert self.events[-1][0] == ends[0]
        return self.events[-1]

    @property
    def code(self) -> str:
        """The code of the error that it ended with, before the first byte or after it."""
        if self.status != 200:
            return str(self.problem["code"])
        name, data = self.last
        assert name == "error", self.events
        return str(data["code"])


def ask(server: LiveServer | str, message: str = "hello", timeout: float = 60, **fields: Any) -> Heard:
    """Post a message to a server, or to its URL, and read the whole answer."""
    body = {"message": message, **fields}
    url = server if isinstance(server, str) else server.url
    return heard(httpx.post(f"{url}/chat?format=events", json=body, timeout=timeout, **WITHOUT_PROXIES))


def heard(response: httpx.Response) -> Heard:
    """Read a response."""
    if response.headers["content-type"] == "application/problem+json":
        return Heard(response.status_code, response.headers, [], response.json())
    events = [(message.event, json.loads(message.data)) for message in parse(response.content)]
    return Heard(response.status_code, response.headers, events, {})
