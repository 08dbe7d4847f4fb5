"""Uploads documents of one owner to a server, waits for them, and asks about them."""

import json
from collections.abc import Sequence
from typing import Any

import httpx

from tests.support.answers import Heard, heard
from tests.support.server import WITHOUT_PROXIES, LiveServer, wait_for
from tests.support.sse import Message, parse

SETTLED = ("ready", "failed")


class Client:
    """Requests to one server with the same headers, each on a connection of its own: nothing is left open."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._url = url
        self._headers = headers

    def request(self, method: str, path: str, headers: dict[str, str] | None = None, **given: Any) -> httpx.Response:
        """One request."""
        headers = {**self._headers, **(headers or {})}
        return httpx.request(method, f"{self._url}{path}", headers=headers, timeout=60, **WITHOUT_PROXIES, **given)

    def get(self, path: str, **given: Any) -> httpx.Response:
        return self.request("GET", path, **given)

    def post(self, path: str, **given: Any) -> httpx.Response:
        return self.request("POST", path, **given)

    def delete(self, path: str, **given: Any) -> httpx.Response:
        return self.request("DELETE", path, **given)


class Library:
    """The documents of the caller with these headers."""

    def __init__(self, server: LiveServer | str, headers: dict[str, str] | None = None) -> None:
        self.url = server if isinstance(server, str) else server.url
        self.client = Client(self.url, headers or {})

    def upload(self, *files: tuple[str, bytes], collections: Sequence[str] = ()) -> httpx.Response:
        """Post files, by their names."""
        parts = [("file", (name, content, "application/octet-stream")) for name, content in files]
        return self.client.post("/documents/upload", files=parts, data={"collection": list(collections)})

    def add(self, name: str, content: bytes | str, *collections: str) -> str:
        """Upload one document and wait until it is ready; returns its id."""
        document_id = self.send(name, content, *collections)
        document = self.settled(document_id)
        assert document["state"] == "ready", document
        return document_id

    def send(self, name: str, content: bytes | str, *collections: str) -> str:
        """Upload one document; returns its id at once."""
        data = content.encode() if isinstance(content, str) else content
        answer = self.upload((name, data), collections=collections)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["items"][0]["id"])

    def get(self, document_id: str) -> dict[str, Any]:
        """The document as it is now."""
        answer = self.client.get(f"/documents/{document_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def settled(self, document_id: str, seconds: float = 60) -> dict[str, Any]:
        """Wait until the document is ready or has failed, and return it."""
        wait_for(lambda: self.get(document_id)["state"] in SETTLED, seconds)
        return self.get(document_id)

    def events(self, document_id: str, last: str | None = None) -> list[Message]:
        """All events of its ingestion, after the event `last`."""
        headers = {"last-event-id": last} if last else {}
        answer = self.client.get(f"/documents/{document_id}/events", headers=headers)
        assert answer.status_code == 200, answer.text
        return parse(answer.content)

    def ask(self, message: str, documents: Any = None, **fields: Any) -> Heard:
        """Ask about documents, by default all of them, on the events wire."""
        body = {"message": message, "documents": {} if documents is None else documents, **fields}
        return heard(self.client.post("/chat?format=events", json=body))


def sources(answer: Heard) -> list[dict[str, Any]]:
    """The passages in the `source` events."""
    return [data for name, data in answer.events if name == "source"]


def titles(answer: Heard) -> set[str]:
    """The titles of the documents that the passages are from."""
    return {source["title"] for source in sources(answer)}


def data_of(message: Message) -> dict[str, Any]:
    """The data of an event."""
    return json.loads(message.data)  # type: ignore[no-any-return]
