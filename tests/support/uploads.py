"""Uploads documents to a real server, waits for them, and asks about them."""

import json
import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import httpx

from tests.support.server import wait_for
from tests.support.sse import parse


def words_as_numbers(dimension: int) -> Callable[[Sequence[str]], list[list[float]]]:
    """Makes vectors that are close if texts have words in common, from the first `dimension` words that it sees."""
    known: dict[str, int] = {}

    def rows(texts: Sequence[str]) -> list[list[float]]:
        return [row(text) for text in texts]

    def row(text: str) -> list[float]:
        numbers = [0.01] * dimension
        for word in re.findall(r"\w{4,}", text.lower()):
            numbers[known.setdefault(word, len(known)) % dimension] += 1.0
        length = math.hypot(*numbers)
        return [number / length for number in numbers]

    return rows


def send(url: str, text: str, *, name: str = "a.txt", collections: Sequence[str] = (), **options: Any) -> str:
    """Send a text as a document; returns its id."""
    body = {"text": text, "name": name, "collections": list(collections)}
    answer = httpx.post(f"{url}/documents/text", json=body, timeout=60, **options)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def state(url: str, document_id: str, **options: Any) -> str:
    """The document's current state."""
    return str(httpx.get(f"{url}/documents/{document_id}", **options).json()["state"])


def ready(url: str, *document_ids: str, **options: Any) -> None:
    """Wait until all documents are ready."""
    for document_id in document_ids:
        wait_for(partial(_is_over, url, document_id, options), seconds=60)
        assert state(url, document_id, **options) == "ready"


def _is_over(url: str, document_id: str, options: dict[str, Any]) -> bool:
    return state(url, document_id, **options) in ("ready", "failed")


def asked(url: str, question: str, **documents: Any) -> list[tuple[str, dict[str, Any]]]:
    """The events of an answer from documents, by name."""
    body = {"message": question, "documents": documents}
    answer = httpx.post(f"{url}/chat?format=events", json=body, timeout=60)
    if answer.status_code != 200:
        return [("refused", answer.json())]
    return [(event.event, json.loads(event.data)) for event in parse(answer.content)]


def sources(url: str, question: str, **documents: Any) -> list[str]:
    """The documents that the answer is based on, best first; if it failed, the error's code."""
    events = asked(url, question, **documents)
    failed = [data["code"] for name, data in events if name in ("error", "refused")]
    return failed or [data["document_id"] for name, data in events if name == "source"]
