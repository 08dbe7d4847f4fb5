"""Documents when something goes wrong: who reads them dies, the provider or the database is away, there is no room.

Shows F16, T06 and T41.
"""

import contextlib
import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from stores.sql.engine.schema import migrate
from tests.journeys.conversations.test_database_trouble import full
from tests.support.documents import pdf
from tests.support.embeddings import Vectors, vectors_server
from tests.support.keys import KeyRing, bearer
from tests.support.library import Library, data_of, sources
from tests.support.postgres import postgres_server
from tests.support.server import LiveServer, process_server, wait_for

pytestmark = pytest.mark.slow(reason="a process for each document that is read")

Serve = Callable[..., LiveServer]


@pytest.fixture
def provider() -> Iterator[Vectors]:
    """Who turns texts into vectors, at once or when a test lets it."""
    with vectors_server() as started:
        yield started


def at(provider: Vectors, **settings: Any) -> dict[str, Any]:
    """Settings of a server whose vectors come from there."""
    return {
        "EMBEDDING_PROVIDER": "openai_compatible", "EMBEDDING_MODEL": "v", "EMBEDDING_BASE_URL": f"{provider.url}/v1",
        "MODEL_RETRIES": 0, "DOCUMENT_LEASE": 1, "RAG_MIN_SCORE": -1, **settings,
    }  # fmt: skip


@contextlib.contextmanager
def frozen(provider: Vectors) -> Iterator[None]:
    """It takes requests, and answers none; those are broken off at the end."""
    provider.frozen = threading.Event()
    try:
        yield
    finally:
        thaw(provider)


def thaw(provider: Vectors) -> None:
    """It answers again; what it was asked meanwhile is broken off."""
    held, provider.frozen = provider.frozen, None
    if held is not None:
        held.set()


def rows(file: Path, table: str) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def parsers() -> list[int]:
    """The processes of ours that read a document at this moment."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"parsing/child.py" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux says so simply what runs")
def test_a_parser_that_is_killed_fails_its_document_and_nothing_else(serve: Serve) -> None:
    library = Library(serve(DOCUMENTS_AT_ONCE=1))
    page = "\n".join(f"Line {number} of a document whose reader is killed." for number in range(60))
    first = library.send("killed.pdf", pdf([page] * 300))  # which takes a while to read

    def kill() -> bool:
        for process in (found := parsers()):
            os.kill(process, signal.SIGKILL)
        return bool(found)

    wait_for(kill)
    other = library.send("other.txt", "The document that comes after it.")
    document = library.settled(first)
    assert (document["state"], document["code"]) == ("failed", "document_crashed")
    assert library.settled(other)["state"] == "ready"
    assert library.events(first)[-1].event == "failed"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_ends_in_the_middle_goes_on_with_it_at_its_next_start(
    provider: Vectors, tmp_path: Path, number: int
) -> None:
    settings = at(provider, DATA_DIR=tmp_path, DRAIN_TIMEOUT=0, DOCUMENTS_AT_ONCE=1)
    with process_server(**settings) as (process, url):
        library = Library(url)
        with frozen(provider):
            begun = library.send("begun.txt", "The document that was begun.")
            waiting = library.send("waiting.txt", "The document that waited.")
            wait_for(lambda: provider.seen)
            process.stop(number)
    with closing(sqlite3.connect(tmp_path / "streamforge.db")) as connection:
        state, attempts = connection.execute("SELECT state, attempts FROM documents WHERE id = ?", (begun,)).fetchone()
    assert (state, attempts) == (("queued", 0) if number == signal.SIGTERM else ("embedding", 1)), "put back, if it can"
    with process_server(**settings) as (_, url):
        library = Library(url)
        told = library.events(begun)
        assert (told[0].event, told[-1].event) == ("received", "ready")
        for document_id in (begun, waiting):
            assert library.settled(document_id)["chunks"] == 1
        found = sources(library.ask("The document?"))
        assert sorted(source["document_id"] for source in found) == sorted([begun, waiting]), "each once"
        assert rows(tmp_path / "streamforge.db", "document_vectors") == 2


def test_a_document_that_three_servers_were_lost_with_is_given_up_with_its_vectors(
    provider: Vectors, tmp_path: Path
) -> None:
    settings = at(provider, DATA_DIR=tmp_path, DRAIN_TIMEOUT=0)
    with process_server(**settings) as (process, url), frozen(provider):
        document_id = Library(url).send("fatal.txt", "The document that is too much for them.")
        wait_for(lambda: provider.seen)
        process.stop(signal.SIGKILL)
    with closing(sqlite3.connect(tmp_path / "streamforge.db")) as connection, connection:
        connection.execute("UPDATE documents SET attempts = 3")
        connection.execute(
            "INSERT INTO document_vectors (document_id, owner, model, dimension, number, vector) "
            "VALUES (?, 'local', 'm', 1, 0, zeroblob(4))",
            (document_id,),
        )
    with process_server(**settings) as (_, url):
        assert Library(url).settled(document_id)["code"] == "document_crashed"
        wait_for(lambda: rows(tmp_path / "streamforge.db", "document_vectors") == 0)


def test_a_provider_that_is_away_is_asked_again_and_nobody_is_told_of_a_failure(
    serve: Serve, provider: Vectors
) -> None:
    provider.refusals = [(503, {})]
    library = Library(serve(**at(provider)))
    document_id = library.send("patient.txt", "The document of the patient.")
    assert library.settled(document_id)["state"] == "ready"
    assert "failed" not in {message.event for message in library.events(document_id)}


def test_a_provider_that_stays_away_fails_the_document_with_a_sentence(serve: Serve, provider: Vectors) -> None:
    provider.refusals = [(503, {})] * 50
    library = Library(serve(**at(provider)))
    document_id = library.send("unlucky.txt", "The document of the unlucky.")
    document = library.settled(document_id)
    assert (document["state"], document["code"]) == ("failed", "provider_overloaded")
    assert document["error"].endswith(".")
    assert len(provider.seen) == 3, "three times, and then no more"
    last = library.events(document_id)[-1]
    assert (last.event, data_of(last)["code"]) == ("failed", "provider_overloaded")
    assert "secret of the provider" not in str(document)


@pytest.mark.parametrize("way", ["upload", "text", "openai"])
def test_bytes_that_failed_are_sent_again_and_read(serve: Serve, provider: Vectors, way: str) -> None:
    provider.refusals = [(401, {})]
    library = Library(serve(**at(provider)))
    text = "The document of the stubborn."
    document_id = library.send("stubborn.txt", text, "first")
    assert library.settled(document_id)["state"] == "failed"
    with frozen(provider):
        if way == "openai":
            parts = {"file": ("b.txt", text.encode())}
            again = library.client.post("/v1/files", files=parts, data={"purpose": "assistants"}).json()
            assert (again["id"], again["status"], again.get("status_details")) == (document_id, "uploaded", None)
        else:
            if way == "upload":
                (again,) = library.upload(("b.txt", text.encode()), collections=["second"]).json()["items"]
            else:
                given = {"text": text, "collections": ["second"]}
                again = library.client.post("/documents/text", json=given).json()
            assert (again["id"], again["known"], again["state"]) == (document_id, True, "queued")
            assert again["collections"] == ["first", "second"]
            assert not again.keys() & {"code", "error"}
        wait_for(lambda: len(provider.seen) > 1)
        assert "error" not in library.get(document_id)
        with httpx.stream("GET", f"{library.url}/documents/{document_id}/events", timeout=60) as watching:
            told = watching.iter_lines()
            assert next(told) == "event: received", "its way begins anew"
            thaw(provider)
            rest = list(told)
    assert "event: failed" not in rest
    assert library.settled(document_id)["state"] == "ready"
    assert library.events(document_id)[-1].event == "ready"
    assert [source["document_id"] for source in sources(library.ask("The document?"))] == [document_id]
    assert library.upload(("c.txt", text.encode())).json()["items"][0]["state"] == "ready", "and is left as it is"


def test_a_document_that_is_deleted_while_it_is_read_leaves_nothing(serve: Serve, provider: Vectors) -> None:
    server = serve(**at(provider, DOCUMENT_LEASE=30))  # its worker has to notice by itself
    library = Library(server)
    with frozen(provider):
        document_id = library.send("gone.txt", "The document that goes.")
        wait_for(lambda: provider.seen)
        with httpx.stream("GET", f"{server.url}/documents/{document_id}/events", timeout=30) as watching:
            lines = watching.iter_lines()
            assert next(lines) == "event: received"  # from here on it is told what becomes of it
            assert library.client.delete(f"/documents/{document_id}").status_code == 204
            told = [line for line in lines if line.startswith("event: ")]
    assert told[-1:] == ["event: failed"]
    other = library.add("stays.txt", "The document that stays.")
    assert [source["document_id"] for source in sources(library.ask("The document?"))] == [other]
    file = server.settings.database_file()
    assert (rows(file, "document_vectors"), rows(file, "document_chunks"), rows(file, "document_contents")) == (1, 1, 1)


def test_who_has_many_documents_does_not_keep_others_waiting(serve: Serve, provider: Vectors, tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "data")
    server = serve(**at(provider, AUTH_MODE="api_key", DATA_DIR=ring.folder, DOCUMENTS_AT_ONCE=2))
    ann, bob = (Library(server, bearer(ring.make(name))) for name in ("ann", "bob"))
    with frozen(provider):
        many = [ann.send(f"{number}.txt", f"The document of ann, number {number}.") for number in range(6)]
        one = bob.send("bob.txt", "The document of bob.")
        wait_for(lambda: sum(ann.get(each)["state"] != "queued" for each in many) == 2)
    assert bob.settled(one)["state"] == "ready"
    assert sum(ann.get(each)["state"] == "ready" for each in many) < 6, "four of hers came before, and wait"
    for each in many:
        assert ann.settled(each)["state"] == "ready"


def test_one_document_too_many_is_told_to_come_later(serve: Serve, provider: Vectors) -> None:
    library = Library(serve(**at(provider, DOCUMENTS_AT_ONCE=1, DOCUMENTS_QUEUED=2)))
    with frozen(provider):
        first = library.send("0.txt", "The document number 0.")
        wait_for(lambda: library.get(first)["state"] != "queued")
        sent = [library.send(f"{number}.txt", f"The document number {number}.") for number in (1, 2)]
        refused = library.upload(("3.txt", b"The document number 3."))
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_documents")
        again = library.upload(("1.txt", b"The document number 1."))
        assert again.json()["items"][0]["known"], "what is there already takes no place"
    for each in (first, *sent):
        assert library.settled(each)["state"] == "ready"
    assert library.upload(("3.txt", b"The document number 3.")).status_code == 202


def test_who_watches_a_document_that_waits_hears_of_it_when_its_turn_comes(serve: Serve, provider: Vectors) -> None:
    library = Library(serve(**at(provider, DOCUMENTS_AT_ONCE=1)))
    with frozen(provider):
        first = library.send("first.txt", "The document that is first.")
        wait_for(lambda: library.get(first)["state"] != "queued")
        second = library.send("second.txt", "The document that is second.")
        with httpx.stream("GET", f"{library.url}/documents/{second}/events", timeout=60) as response:
            pieces = response.iter_text()
            assert next(pieces).startswith("event: received")
            assert library.get(second)["state"] == "queued"
            thaw(provider)
            rest = "".join(pieces)
    assert "event: received" not in rest, "it was told"
    assert rest.index("event: parsing") < rest.index("event: ready")


def test_where_there_is_no_room_an_upload_is_refused_and_later_taken(tmp_path: Path) -> None:
    with process_server(DATA_DIR=tmp_path) as (process, url):
        library = Library(url)
        first = library.add("before.txt", "The document that came before.")
        large = ("large.txt", b"The document that is large. " * 100_000)
        with full(process):
            for upload in (("small.txt", b"The document that is small."), large):
                refused = library.upload(upload)
                assert (refused.status_code, refused.json()["code"]) == (507, "storage_full"), upload[0]
            assert library.get(first)["state"] == "ready"
            assert sources(library.ask("The document that came before?"))
        assert library.settled(library.send("small.txt", "The document that is small."))["state"] == "ready"
        assert rows(tmp_path / "streamforge.db", "documents") == 2
        assert "Traceback" not in "".join(process.log)


def test_a_database_that_is_away_for_a_while_costs_no_document(provider: Vectors, tmp_path: Path) -> None:
    with postgres_server() as postgres, postgres.database() as database:
        migrate(database)
        settings = at(provider, DATABASE_URL=database, DATA_DIR=tmp_path, VECTOR_STORE_TYPE="pgvector")
        with process_server(**settings) as (_, url):
            library = Library(url)
            with frozen(provider):
                document_id = library.send("patient.txt", "The document of the patient.")
                wait_for(lambda: provider.seen)
                postgres.stop()
            refused = library.upload(("later.txt", b"The document that comes later."))
            assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
            postgres.start()
            wait_for(lambda: library.client.get(f"/documents/{document_id}").status_code == 200)
            assert library.settled(document_id)["state"] == "ready"
            assert [each["document_id"] for each in sources(library.ask("The document?"))] == [document_id]


def test_vectors_that_are_for_another_database_are_refused_with_what_to_set(serve: Serve, postgres_url: str) -> None:
    library = Library(serve(DATABASE_URL=postgres_url))  # and VECTOR_STORE_TYPE as it is by default
    document = library.settled(library.send("a.txt", "The document that nothing can find."))
    assert (document["state"], document["code"]) == ("failed", "provider_not_configured")
    refused = library.client.delete(f"/documents/{document['id']}")
    assert (refused.status_code, refused.json()["code"]) == (503, "provider_not_configured")
    assert "VECTOR_STORE_TYPE" in refused.json()["detail"]


class Endless:
    """A body without an end; `sent` says how many bytes of it were taken."""

    def __init__(self, most: int) -> None:
        self.sent = 0
        self._most = most

    def __iter__(self) -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        while self.sent < self._most:
            self.sent += 65_536
            yield b"x" * 65_536


def test_an_upload_that_is_too_large_is_refused_and_not_read_on(serve: Serve) -> None:
    server = serve(MAX_UPLOAD_BYTES=100_000)
    library = Library(server)
    assert library.upload(("a.txt", b"x" * 90_000)).status_code == 202
    form = {"content-type": "multipart/form-data; boundary=b"}
    body = Endless(200_000_000)
    try:
        refused = httpx.post(f"{server.url}/documents/upload", content=body, headers=form, timeout=30)
    except httpx.WriteError:  # the answer was there, and then the connection gone, before all was sent
        pass
    else:
        assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")
    assert body.sent < 50_000_000
    declared = ask_raw(server, {**form, "content-length": "100000000"})
    assert declared.startswith("HTTP/1.1 413")
    assert "connection: close" in declared.lower()


def ask_raw(server: LiveServer, headers: dict[str, str]) -> str:
    """The answer to an upload of which only the head was sent."""
    lines = ["POST /documents/upload HTTP/1.1", "Host: 127.0.0.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return connection.recv(65_536).decode()


def test_who_is_unknown_is_refused_before_anything_is_read(serve: Serve, tmp_path: Path) -> None:
    server = serve(AUTH_MODE="api_key", DATA_DIR=tmp_path)
    headers = {"content-type": "multipart/form-data; boundary=b", "content-length": "1000000"}
    began = time.monotonic()
    assert ask_raw(server, headers).startswith("HTTP/1.1 401")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("headers", "content", "status", "code"),
    [
        ({"content-type": "application/json"}, b"{}", 415, "unsupported_media_type"),
        ({}, b"x", 415, "unsupported_media_type"),
        ({"content-type": "multipart/form-data"}, b"x", 400, "malformed_request"),
        ({"content-type": "multipart/form-data; boundary=b"}, b"no form at all", 400, "malformed_request"),
        (
            {"content-type": "multipart/form-data; boundary=b"},
            b"--b\r\nnothing\r\n\r\n\r\n--b--\r\n",
            400,
            "malformed_request",
        ),
        ({"content-type": "multipart/form-data; boundary=b"}, b"--b--\r\n", 422, "invalid_request"),
        (
            {"content-type": "multipart/form-data; boundary=b"},
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\ncut sho',
            400,
            "malformed_request",
        ),
        (
            {"content-type": "multipart/form-data; boundary=b"},
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n' * 21 + b"--b--\r\n",
            400,
            "malformed_request",
        ),
        (
            {"content-type": "multipart/form-data; boundary=b"},
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n'
            b'--b\r\nContent-Disposition: form-data; name="collection"\r\n\r\n \r\n--b--\r\n',
            422,
            "invalid_request",
        ),
    ],
)
def test_a_form_that_is_none_is_refused(
    serve: Serve, headers: dict[str, str], content: bytes, status: int, code: str
) -> None:
    server = serve()
    answer = httpx.post(f"{server.url}/documents/upload", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert httpx.get(f"{server.url}/documents").json() == {"items": []}


@pytest.mark.parametrize(
    ("parts", "pointer", "words"),
    [
        ([("file", (None, "notes.txt"))], "#/file", "-F file=@notes.txt"),
        ([("file", ("a.txt", b"a")), ("file", (None, "notes.txt"))], "#/file", "-F file=@notes.txt"),
        ([("file", ("a.txt", b"a")), ("collections", (None, "sea"))], "#/collections", "`file` and `collection`"),
        ([("file", ("a.txt", b"a")), ("files", ("b.txt", b"b"))], "#/files", "`file` and `collection`"),
        ([("file", ("a.txt", b"a")), ("collection", ("sea.txt", b"sea"))], "#/collection", "1 to 100 characters"),
    ],
)
def test_nothing_of_a_form_is_passed_over(serve: Serve, parts: list[Any], pointer: str, words: str) -> None:
    server = serve()
    answer = httpx.post(f"{server.url}/documents/upload", files=parts)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert words in error["detail"]
    assert httpx.get(f"{server.url}/documents").json() == {"items": []}
