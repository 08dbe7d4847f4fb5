"""Ingests documents of ten thousand pieces, with or without streams at the same time, and searches them.

The text is that of `pydoc_data.topics`, which Python ships, with its paragraphs in a different order in every document,
so that words are as frequent as in real text.
"""

import asyncio
import json
import random
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pydoc_data.topics import topics
from statistics import median

import httpx2

from benchmarks.client import Plan, p99
from benchmarks.server import Contender, loading, serving

ALONE = Contender("alone", "documents alone")
BESIDE = Contender("beside", "documents and 100 streams")
STREAMS = Contender("streams", "100 streams alone")
WAYS = (ALONE, BESIDE, STREAMS)

_PIECES_EACH = 250
_CHARS = 163_000  # of one document
_WORDS = " ".join(f"{number}th" for number in range(60))
_PLAN = Plan(0, "/chat", "text", _WORDS, 0.1, streams=100, opening=1.0)
_LIMIT = 300.0
_LOOK_SECONDS = 0.25
_IDS = "/v1/vector_stores"


async def take_in(contender: Contender, pieces: int, asked: int) -> dict[str, float]:
    """Upload documents with `pieces` pieces and search them, or run 100 streams, or both at the same time."""
    settings = {"SIMULATED_TEXT": _WORDS, "STREAM_DELAY": "0.1"}
    async with (
        serving(contender, settings) as server,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30, trust_env=False) as client,
    ):
        if contender is STREAMS:
            return {"late_ms": await _streams(server.port) * 1e3}
        await _upload(client, "start", ["Nothing but a start.\n"])
        await _ready(client)  # the child process is running, and has loaded its model
        read = asyncio.Event()
        streaming = asyncio.create_task(_until(read, server.port)) if contender is BESIDE else None
        begun = time.perf_counter()
        await _upload(client, "benchmark", _documents(pieces))
        found = await _ready(client)
        took = time.perf_counter() - begun
        read.set()
        late = {"late_ms": await streaming * 1e3} if streaming is not None else {}
        store_id = (await client.post(_IDS, json={"name": "benchmark"})).json()["id"]
        waits = (await _ask_all(server.port, store_id, _questions(asked + 10)))[10:]
    return {"chunks_per_second": found / took, "query_p50_ms": median(waits) * 1e3, "query_ms": p99(waits) * 1e3} | late


async def _streams(port: int) -> float:
    """Run 100 streams; returns the lateness of their words in seconds."""
    async with loading(replace(_PLAN, port=port)) as load:
        while (done := await load.next())["event"] != "done":
            pass
    return float(done["late"])


async def _until(read: asyncio.Event, port: int) -> float:
    """Run streams until `read` is set; returns the worst lateness of the first run and those that ended before that."""
    lateness: list[float] = []
    while not read.is_set():
        late = await _streams(port)
        if not lateness or not read.is_set():
            lateness.append(late)
    return max(lateness)


async def _upload(client: httpx2.AsyncClient, collection: str, texts: Iterable[str]) -> None:
    for number, text in enumerate(texts):
        files = {"file": (f"{collection}-{number}.txt", text.encode())}
        response = await client.post("/documents/upload", files=files, data={"collection": collection})
        response.raise_for_status()


async def _ready(client: httpx2.AsyncClient) -> int:
    """Wait until all documents are in the index; returns the number of their pieces."""
    async with asyncio.timeout(_LIMIT):
        while True:
            documents = (await client.get("/documents", params={"limit": 200})).raise_for_status().json()["items"]
            if failed := [document["error"] for document in documents if document["state"] == "failed"]:
                raise RuntimeError(f"a document failed: {failed[0]}")
            if all(document["state"] == "ready" for document in documents):
                return sum(document["chunks"] for document in documents)
            await asyncio.sleep(_LOOK_SECONDS)


async def _ask_all(port: int, store_id: str, questions: Iterable[str]) -> list[float]:
    """Ask one question after the other on one connection; returns the seconds to the last byte of each response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    waits = []
    for question in questions:
        body = json.dumps({"query": question, "max_num_results": 5}).encode()
        head = (
            f"POST {_IDS}/{store_id}/search HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        begun = time.perf_counter()
        writer.write(head.encode() + body)
        length = re.search(rb"content-length: (\d+)", await reader.readuntil(b"\r\n\r\n"))
        assert length is not None
        answer = await reader.readexactly(int(length[1]))
        waits.append(time.perf_counter() - begun)
        assert json.loads(answer)["data"], answer
    writer.close()
    return waits


def _paragraphs() -> list[str]:
    return [part for topic in topics.values() for part in topic.split("\n\n") if len(part) >= 60]


def _documents(pieces: int) -> Iterator[str]:
    paragraphs = _paragraphs()
    for number in range(pieces // _PIECES_EACH):
        chance = random.Random(number)
        chosen, length = [f"Document {number}"], 0
        while length < _CHARS:
            chosen.append(chance.choice(paragraphs))
            length += len(chosen[-1]) + 2
        yield "\n\n".join(chosen)


def _questions(count: int) -> Iterator[str]:
    """Some words of a paragraph, as a user might ask for it."""
    chance, paragraphs = random.Random(0), _paragraphs()
    for _ in range(count):
        words = chance.choice(paragraphs).split()
        at = chance.randrange(max(len(words) - 8, 1))
        yield f"What is said about {' '.join(words[at : at + 8])}?"
