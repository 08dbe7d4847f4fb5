"""Documents of a deployment: one queue, which its servers share, and none of whose documents is lost or read twice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.documents.test_trouble import at, frozen
from tests.support.embeddings import Vectors, vectors_server
from tests.support.library import Library, sources
from tests.support.postgres import Postgres
from tests.support.replicas import Replicas, replicas
from tests.support.server import wait_for
from tests.support.valkey import RedisServer


@pytest.fixture
def provider() -> Iterator[Vectors]:
    with vectors_server() as started:
        yield started


@pytest.fixture(params=["pgvector", "sqlite"])
def both(request: pytest.FixtureRequest, valkey: RedisServer, provider: Vectors, tmp_path: Path) -> Iterator[Replicas]:
    """None yet, on one PostgreSQL or on one file."""
    settings: dict[str, Any] = at(provider, VECTOR_STORE_TYPE=request.param, DOCUMENTS_AT_ONCE=1, DRAIN_TIMEOUT=0)
    if request.param == "sqlite":
        with replicas(tmp_path, valkey, **settings) as made:
            yield made
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    with postgres.database() as database, replicas(tmp_path, valkey, database=database, **settings) as made:
        yield made


def embedded(provider: Vectors) -> list[str]:
    """The documents that were embedded, in order."""
    return [text for seen in provider.seen for text in seen["body"]["input"] if text.startswith("The document")]


def test_each_document_is_read_once_by_one_of_them_and_found_and_watched_at_either(
    both: Replicas, provider: Vectors
) -> None:
    here, there = (Library(replica.url) for replica in both.start(2))
    texts = [f"The document number {number}." for number in range(12)]
    ids = [here.send(f"{number}.txt", text) for number, text in enumerate(texts)]
    last = there.events(ids[-1])
    assert (last[0].event, last[-1].event) == ("received", "ready")
    for document_id in ids:
        assert there.settled(document_id)["state"] == "ready"
    assert sorted(embedded(provider)) == sorted(texts), "each once"
    for library in (here, there):
        found = sources(library.ask("Which document?", {"top_k": 50}))
        assert sorted(source["document_id"] for source in found) == sorted(ids)
    assert there.client.delete(f"/documents/{ids[0]}").status_code == 204
    found = sources(here.ask("Which document?", {"top_k": 50}))
    assert ids[0] not in {source["document_id"] for source in found}, "and is gone at the other one, too"
    both.leave()


def test_one_goes_on_with_what_the_other_was_killed_over(both: Replicas, provider: Vectors) -> None:
    first = both.one()
    library = Library(first.url)
    with frozen(provider):
        ids = [library.send(f"{number}.txt", f"The document number {number}.") for number in range(3)]
        wait_for(lambda: provider.seen)
        second = both.one()
        first.kill()
    library = Library(second.url)
    told = library.events(ids[0])
    while told[-1].event != "ready":  # what the other one had told is over, without an end; so one comes back
        assert told[-1].event != "failed"
        told = library.events(ids[0])
    for document_id in ids:
        document = library.settled(document_id)
        assert (document["state"], document["chunks"]) == ("ready", 1)
    found = sources(library.ask("Which document?", {"top_k": 50}))
    assert sorted(source["document_id"] for source in found) == sorted(ids), "each once"
    both.leave()
