"""Talking in sessions over HTTP."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from tests.support.answers import Heard, ask
from tests.support.provider import Provider
from tests.support.server import LiveServer


class Talk:
    """One session of a server, however it was opened."""

    def __init__(self, url: str, session_id: str) -> None:
        self.url = url
        self.id = session_id

    def say(self, message: str = "hello", **fields: Any) -> Heard:
        """Post a message in the session."""
        return ask(self.url, message, session_id=self.id, **fields)

    def again(self, message_id: str, **fields: Any) -> httpx.Response:
        """Have an answer generated again."""
        body = {"session_id": self.id, "regenerate": message_id, **fields}
        return httpx.post(f"{self.url}/chat", json=body, timeout=30)

    def history(self, **params: Any) -> list[dict[str, Any]]:
        """The messages of one large page."""
        answer = httpx.get(f"{self.url}/chat/history/{self.id}", params={"limit": 200, **params}, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]  # type: ignore[no-any-return]

    def texts(self, **params: Any) -> list[str]:
        """The texts of all messages."""
        return [message["text"] for message in self.history(**params)]

    def session(self) -> dict[str, Any]:
        """The session itself."""
        return httpx.get(f"{self.url}/sessions/{self.id}").json()  # type: ignore[no-any-return]

    def switch(self, message_id: str) -> httpx.Response:
        """Make the branch with this message the active one."""
        return httpx.put(f"{self.url}/sessions/{self.id}/branch", json={"message_id": message_id})


def open_talk(server: LiveServer | str, message: str = "hello", **fields: Any) -> tuple[Talk, Heard]:
    """A new session with its first exchange."""
    url = server if isinstance(server, str) else server.url
    answer = ask(url, message, new_session=True, **fields)
    return Talk(url, answer.headers["x-session-id"]), answer


def told(model: Provider, number: int = -1) -> list[tuple[str, str]]:
    """The messages that the scripted model was sent with a request: role and text."""
    messages = model.seen.requests[number]["body"]["messages"]
    return [(message["role"], message["content"]) for message in messages]


def rows(folder: Path, table: str) -> int:
    """How many rows a table has; 0 if there is no file."""
    file = folder / "streamforge.db"
    if not file.exists():
        return 0
    assert table in ("sessions", "messages", "usage", "summaries")
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
