"""Documents on every store of vectors, from their upload to their end, as whoever installs the program meets them."""

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.callers import LOCAL
from stores.sql.documents.store import DocumentStore
from stores.sql.engine.database import open_database
from tests.conftest import missing
from tests.journeys.conversations.test_database_trouble import full
from tests.journeys.documents.test_documents import FILES, KINDS, QUESTIONS
from tests.journeys.documents.test_trouble import at
from tests.stores.vectors.places import Place, SqlPlace
from tests.support.answers import Heard, heard
from tests.support.chroma import VENV, ChromaPlace, chroma_server, installed
from tests.support.embeddings import Vectors, vectors_server
from tests.support.library import Library, data_of, sources
from tests.support.server import Process, process_server, wait_for
from tests.support.uploads import words_as_numbers

pytestmark = pytest.mark.slow(reason="every format, on each store of vectors")

ASKED = {name: (question, answer, about) for question, name, answer, about in QUESTIONS}
NAMES = ("harbour.pdf", "garden.docx", "backup.md")


@dataclass
class Deployment:
    """A server with one store of vectors: its settings, the Python that has what it needs, and where vectors are."""

    settings: dict[str, Any]
    place: Place
    database: str
    python: str = sys.executable
    process: Process | None = None
    """The server's, while it is serving."""

    @contextlib.contextmanager
    def serving(self, **settings: Any) -> Iterator[Library]:
        """The server, and what is in it; it goes as an operator lets it go."""
        with process_server([self.python, "main.py"], **{**self.settings, **settings}) as (self.process, url):
            yield Library(url)
            self.process.stop()
            assert "Traceback" not in "".join(self.process.log)

    def vectors(self, document_id: str) -> int:
        """How many the store has of it, whatever the database says of the document. Nobody serves meanwhile."""

        async def count() -> int:
            async with open_database(self.database) as database:
                index = await DocumentStore(database).index()
            assert index is not None
            direction = b"\0\0\x80\x3f" + bytes(4 * (index.dimension - 1))
            async with self.place.open() as store:
                hits = await store.search(index, LOCAL.id, direction, document_ids=[document_id], limit=500)
            return len(hits)

        return asyncio.run(count())


@pytest.fixture(params=["sqlite", "pgvector", "chroma folder", "chroma server"])
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    """One that nobody has used."""
    kind: str = request.param.partition(" ")[0]
    settings = {"DATA_DIR": tmp_path, "VECTOR_STORE_TYPE": kind, "STREAM_DELAY": 0, "RAG_MIN_SCORE": 0.3}
    file = f"sqlite:///{tmp_path / 'streamforge.db'}"
    if kind == "sqlite":
        yield Deployment(settings, SqlPlace(file), file)
        return
    if kind == "pgvector":
        database: str = request.getfixturevalue("postgres_url")
        yield Deployment({**settings, "DATABASE_URL": database}, SqlPlace(database), database)
        return
    if not installed():
        missing("Chroma")
    folder = tmp_path / "chroma"
    if request.param == "chroma folder":
        place = ChromaPlace(folder, None)
        yield Deployment({**settings, "CHROMA_DIR": folder}, place, file, str(VENV / "bin" / "python"))
        return
    with chroma_server() as server:  # whose package our own server can do without
        yield Deployment({**settings, "CHROMA_URL": server.url}, ChromaPlace(folder, server.url), file)


def uploaded(library: Library) -> dict[str, str]:
    """The files' ids by their names, once each was watched to its end."""
    answer = library.upload(*((name, FILES[name]) for name in NAMES))
    assert answer.status_code == 202, answer.text
    ids = {item["name"]: str(item["id"]) for item in answer.json()["items"]}
    for name, document_id in ids.items():
        told = library.events(document_id)
        assert (told[0].event, told[-1].event) == ("received", "ready"), name
        pieces = [data_of(message) for message in told if message.event == "embedding"][-1]
        document = library.get(document_id)
        assert (pieces["done"], pieces["total"]) == (document["chunks"], document["chunks"])
        assert document["media_type"] == KINDS[name]
    assert library.get(ids["harbour.pdf"])["pages"] == 3
    return ids


def check(library: Library, name: str, document_id: str) -> None:
    """What is asked of this file is answered from the right place in it."""
    question, words, about = ASKED[name]
    answer = library.ask(question)
    first, *_ = sources(answer)
    assert first["document_id"] == document_id
    assert {key: first.get(key) for key in about} == about
    assert words in answer.text
    assert 1 in answer.last[1]["sources"]


def interrupted(library: Library, question: str, interrupt: Callable[[], None]) -> Heard:
    """An answer at whose first word something happens, and which is read to its end."""
    with httpx.stream("POST", f"{library.url}/chat?format=events", json={"message": question, "documents": {}}) as body:
        parts = body.iter_bytes()
        read = b""
        while b"event: delta" not in read:
            read += next(parts)
        interrupt()
        read += b"".join(parts)
    return heard(httpx.Response(200, headers=body.headers, content=read))


def test_documents_are_read_asked_about_deleted_and_there_after_a_restart(deployment: Deployment) -> None:
    with deployment.serving(STREAM_DELAY=0.02) as library:
        ids = uploaded(library)
        for name, document_id in ids.items():
            check(library, name, document_id)
        gone = ids.pop("harbour.pdf")
        question, words, about = ASKED["harbour.pdf"]
        answer = interrupted(library, question, lambda: _delete(library, gone))
        assert words in answer.text, "who reads it already reads it to its end"
        assert (answer.last[0], sources(answer)[0]["page"]) == ("done", about["page"])
        again = library.ask(question)
        assert gone not in {source["document_id"] for source in sources(again)}
        assert words not in again.text
    with deployment.serving() as library:
        listed = library.client.get("/documents").json()["items"]
        assert {item["id"]: item["state"] for item in listed} == dict.fromkeys(ids.values(), "ready")
        for name, document_id in ids.items():
            check(library, name, document_id)
        assert words not in library.ask(question, {"min_score": -1, "top_k": 50}).text
    assert deployment.vectors(gone) == 0
    assert all(deployment.vectors(document_id) for document_id in ids.values())


def _delete(library: Library, document_id: str) -> None:
    assert library.client.delete(f"/documents/{document_id}").status_code == 204


class Halting:
    """An embedding model that halts before its second batch, until it is let go on."""

    def __init__(self, provider: Vectors) -> None:
        self.provider = provider
        provider.rows = self.rows
        self.halted = threading.Event()
        self.goes_on = threading.Event()
        self._batches = 0
        self._words = words_as_numbers(64)

    def rows(self, texts: Sequence[str]) -> list[list[float]]:
        self._batches += any("chapter" in text for text in texts)
        if self._batches == 2 and not self.goes_on.is_set():
            self.halted.set()
            self.goes_on.wait(60)
        return self._words(texts)


STORY = "\n\n".join(f"This is the chapter {number} of a long story about a fox." for number in range(150))
"""Pieces of three batches."""
QUESTION = "What does the fox do in chapter 7?"


@contextlib.contextmanager
def halfway(deployment: Deployment, **settings: Any) -> Iterator[tuple[Library, Halting, str, str]]:
    """A document of which one batch of vectors is there and the next is not; and the id of a small one that is ready.

    The first id is that of the small one.
    """
    with vectors_server() as provider:
        model = Halting(provider)
        given = at(provider, CHUNK_SIZE=100, CHUNK_OVERLAP=0, **settings)
        with deployment.serving(**given) as library:
            other = library.add("owl.txt", "The owl sleeps in the barn.")
            document_id = library.send("fox.txt", STORY)
            wait_for(model.halted.is_set)
            yield library, model, other, document_id


def found(library: Library) -> set[str]:
    """The documents that anything at all is found in, of the pieces that a question may have."""
    answer = library.ask(QUESTION, {"top_k": 50, "min_score": -1})
    assert answer.last[0] == "done", answer.events
    return {source["document_id"] for source in sources(answer)}


def test_a_document_that_is_deleted_while_it_is_taken_in_leaves_no_vectors(deployment: Deployment) -> None:
    """One batch is there already, and the next comes when the document has gone."""
    with halfway(deployment, DOCUMENT_LEASE=30) as (library, model, other, document_id):
        with httpx.stream("GET", f"{library.url}/documents/{document_id}/events", timeout=60) as watching:
            lines = watching.iter_lines()
            assert next(lines) == "event: received"
            _delete(library, document_id)
            model.goes_on.set()
            told = [line for line in lines if line.startswith("event: ")]
        assert told[-1] == "event: failed"
        assert found(library) == {other}
    assert deployment.vectors(document_id) == 0
    assert deployment.vectors(other) == 1


@pytest.mark.parametrize("deployment", ["sqlite", "chroma server"], indirect=True)
def test_a_document_that_fails_in_the_middle_takes_no_others_place(deployment: Deployment) -> None:
    """What was done of it by then is near to the question, and is found by nobody, neither before nor afterwards."""
    with halfway(deployment, DOCUMENT_LEASE=30) as (library, model, other, document_id):
        assert found(library) == {other}
        model.provider.refusals = [(401, {})]
        model.goes_on.set()
        assert library.settled(document_id)["state"] == "failed"
        assert found(library) == {other}
    assert deployment.vectors(document_id) == 0


@pytest.mark.parametrize("deployment", ["sqlite"], indirect=True)
def test_where_the_room_ends_in_the_middle_a_document_waits_for_some(deployment: Deployment) -> None:
    """Half of it is in the store, and never found; when there is room it is taken in whole, and each piece once."""
    with halfway(deployment) as (library, model, other, document_id):
        process = deployment.process
        assert process is not None
        with full(process):
            model.goes_on.set()
            wait_for(lambda: any("a document failed" in line for line in process.log))
            assert library.get(document_id)["state"] != "ready"
            assert found(library) == {other}
            refused = library.upload(("small.txt", b"There is no room for this either."))
            assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
        document = library.settled(document_id)
        assert (document["state"], document["chunks"]) == ("ready", 150)
        assert found(library) == {document_id}, "which has more than enough to say by now"
    assert deployment.vectors(document_id) == 150
