"""OpenAI's own package against files, vector stores and embeddings."""

import base64
import math
from collections.abc import Iterator
from pathlib import Path
from struct import unpack
from typing import Any

import httpx
import openai
import pytest

from domain.callers import DEFAULT_SCOPES
from tests.clients.test_openai_python import client_of
from tests.support.keys import KeyRing
from tests.support.server import LiveServer, live_server, make_settings
from tests.support.uploads import ready, sources

ANIMALS = {
    "badger.md": b"# Badgers\n\nThe badger digs a sett in the forest, where it sleeps by day.",
    "camel.txt": b"The camel stores fat in its hump and can go for weeks without water in the desert.",
    "penguin.txt": b"The penguin cannot fly, but it swims very well in the cold antarctic sea.",
}


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(make_settings(STREAM_DELAY=0, MAX_UPLOAD_BYTES=100_000)) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[openai.OpenAI]:
    with client_of(server) as made:
        yield made


@pytest.fixture(scope="module")
def files(server: LiveServer, client: openai.OpenAI) -> dict[str, str]:
    """The ids of the animals' files, which are read."""
    made = {name: client.files.create(file=(name, content), purpose="assistants") for name, content in ANIMALS.items()}
    ready(server.url, *(file.id for file in made.values()))
    return {name: file.id for name, file in made.items()}


def refusal(raised: Any) -> tuple[int, str | None, str | None]:
    return raised.value.status_code, raised.value.code, raised.value.param


def test_a_file_is_a_document(server: LiveServer, client: openai.OpenAI, files: dict[str, str]) -> None:
    document_id = files["badger.md"]
    file = client.files.wait_for_processing(document_id)
    assert (file.id, file.filename, file.status, file.object) == (document_id, "badger.md", "processed", "file")
    assert file.bytes == len(ANIMALS["badger.md"])
    assert client.files.content(document_id).read() == ANIMALS["badger.md"]
    assert httpx.get(f"{server.url}/documents/{document_id}").json()["name"] == "badger.md"
    again = client.files.create(file=("other.md", ANIMALS["badger.md"]), purpose="user_data")
    assert again.id == document_id


def test_files_are_listed_newest_first_and_in_pages(client: openai.OpenAI, files: dict[str, str]) -> None:
    whole = [file.id for file in client.files.list()]
    assert set(files.values()) <= set(whole)
    assert [file.id for file in client.files.list(limit=1)] == whole  # one page after the other
    assert client.files.list(limit=2).has_more
    moments = [file.created_at for file in client.files.list()]
    assert moments == sorted(moments, reverse=True)
    assert list(client.files.list(purpose="batch")) == []


def test_a_file_that_cannot_be_read_says_why(client: openai.OpenAI, server: LiveServer) -> None:
    broken = client.files.create(file=("a.pdf", b"%PDF-1.7\nnothing of it"), purpose="assistants")
    told = client.files.wait_for_processing(broken.id, poll_interval=0.05)
    assert told.status == "error"
    assert told.status_details
    store = client.vector_stores.create(name="broken", file_ids=[broken.id])
    (file,) = client.vector_stores.files.list(store.id)
    assert file.status == "failed"
    assert file.last_error is not None
    assert file.last_error.code == "invalid_file"


def test_a_deleted_file_is_gone_everywhere(client: openai.OpenAI, server: LiveServer) -> None:
    file = client.files.create(file=("gone.txt", b"The dodo is gone for good."), purpose="user_data")
    ready(server.url, file.id)
    store = client.vector_stores.create(name="extinct", file_ids=[file.id])
    assert client.vector_stores.search(store.id, query="dodo").data
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError) as raised:
        client.files.retrieve(file.id)
    assert raised.value.code == "document_not_found"
    assert client.vector_stores.search(store.id, query="dodo").data == []
    assert client.vector_stores.retrieve(store.id).file_counts.total == 0
    assert httpx.get(f"{server.url}/documents/{file.id}").status_code == 404


def test_uploads_are_bounded_and_refused_in_openais_shape(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        client.files.create(file=("large.txt", b"x" * 200_000), purpose="assistants")
    assert refusal(raised)[:2] == (413, "body_too_large")
    purpose: Any = "fine-tune"
    with pytest.raises(openai.BadRequestError) as raised:
        client.files.create(file=("a.txt", b"a"), purpose=purpose)
    assert refusal(raised) == (400, "invalid_request", "purpose")
    with pytest.raises(openai.BadRequestError) as raised:
        client.files.create(
            file=("a.txt", b"a"), purpose="assistants", expires_after={"anchor": "created_at", "seconds": 3600}
        )
    assert refusal(raised) == (400, "unsupported_parameter", "expires_after")


def test_a_vector_store_is_a_collection(server: LiveServer, client: openai.OpenAI, files: dict[str, str]) -> None:
    store = client.vector_stores.create(name="animals: all, 中文")
    assert store.file_counts.total == 0
    assert store.id not in [one.id for one in client.vector_stores.list()]
    assert client.vector_stores.retrieve(store.id).name == "animals: all, 中文"
    for file_id in files.values():
        added = client.vector_stores.files.create_and_poll(file_id, vector_store_id=store.id, poll_interval_ms=50)
        assert (added.id, added.status, added.vector_store_id) == (file_id, "completed", store.id)
    found = client.vector_stores.retrieve(store.id)
    assert (found.status, found.file_counts.completed, found.file_counts.total) == ("completed", 3, 3)
    assert found.usage_bytes == sum(map(len, ANIMALS.values()))
    assert store.id in [one.id for one in client.vector_stores.list(limit=1)]
    assert {file.id for file in client.vector_stores.files.list(store.id, limit=1)} == set(files.values())
    assert sources(server.url, "What does the camel store?", collections=["animals: all, 中文"])

    assert client.vector_stores.files.delete(files["camel.txt"], vector_store_id=store.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.files.retrieve(files["camel.txt"], vector_store_id=store.id)
    assert client.files.retrieve(files["camel.txt"]).status == "processed"
    assert client.vector_stores.delete(store.id).deleted
    assert store.id not in [one.id for one in client.vector_stores.list()]
    assert client.files.retrieve(files["badger.md"]).status == "processed"


@pytest.mark.parametrize("name", [" ", "\0", "x" * 101])
def test_a_name_that_no_vector_store_can_have_is_refused(client: openai.OpenAI, name: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.vector_stores.create(name=name)
    assert (raised.value.param, raised.value.code) == ("name", "invalid_request")


def test_a_search_finds_passages_of_the_store_alone(client: openai.OpenAI, files: dict[str, str]) -> None:
    some = [files["badger.md"], files["penguin.txt"]]
    store = client.vector_stores.create(name="two of them", file_ids=some)
    found = client.vector_stores.search(store.id, query="Which bird swims in the sea?")
    best = found.data[0]
    assert (best.file_id, best.filename) == (files["penguin.txt"], "penguin.txt")
    assert best.content[0].text in ANIMALS["penguin.txt"].decode()
    assert 0 < best.score <= 1
    assert {hit.file_id for hit in client.vector_stores.search(store.id, query="camel desert water").data} <= set(some)
    both = client.vector_stores.search(store.id, query=["a bird that swims", "a sett in the forest"])
    assert {hit.file_id for hit in both.data} == set(some)
    scores = [hit.score for hit in both.data]
    assert scores == sorted(scores, reverse=True)
    assert len(client.vector_stores.search(store.id, query="badger or penguin", max_num_results=1).data) == 1
    picky = client.vector_stores.search(store.id, query="the sea", ranking_options={"score_threshold": 0.99})
    assert picky.data == []
    filters: Any = {"type": "eq", "key": "author", "value": "me"}
    with pytest.raises(openai.BadRequestError) as raised:
        client.vector_stores.search(store.id, query="the sea", filters=filters)
    assert refusal(raised) == (400, "unsupported_parameter", "filters")
    assert client.vector_stores.search("vs_ZW1wdHk", query="the sea").data == []
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.search("vs_no!", query="the sea")


def test_embeddings_are_numbers_or_base64(client: openai.OpenAI) -> None:
    texts = ["The badger sleeps.", "A badger is asleep.", "Stock prices fell."]
    answer = client.embeddings.create(model="wordllama", input=texts)  # base64 on the wire
    vectors = [row.embedding for row in answer.data]
    assert [row.index for row in answer.data] == [0, 1, 2]
    assert {len(vector) for vector in vectors} == {256}
    assert all(math.isclose(math.hypot(*vector), 1, abs_tol=1e-5) for vector in vectors)
    assert near(vectors[0], vectors[1]) > near(vectors[0], vectors[2])
    assert answer.model == "local:wordllama"
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0
    plain = client.embeddings.create(model="local:wordllama", input=texts[0], encoding_format="float", dimensions=256)
    assert plain.data[0].embedding == pytest.approx(vectors[0])
    raw: Any = client.embeddings.create(model="wordllama", input=texts[0], encoding_format="base64").data[0].embedding
    assert list(unpack("<256f", base64.b64decode(raw))) == pytest.approx(vectors[0])


def near(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_many_texts_are_embedded_in_their_order(client: openai.OpenAI) -> None:
    texts = [f"number {number} and some words" for number in range(200)]
    whole = client.embeddings.create(model="wordllama", input=texts, encoding_format="float")
    one = client.embeddings.create(model="wordllama", input=texts[137], encoding_format="float")
    assert [row.index for row in whole.data] == list(range(200))
    assert whole.data[137].embedding == pytest.approx(one.data[0].embedding)


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"model": "text-embedding-3-small"}, 404, "model"),
    ({"dimensions": 64}, 400, "dimensions"),
    ({"input": []}, 400, "input"),
    ({"input": ["a"] * 2_049}, 400, "input"),
    ({"input": [[1, 2, 3]]}, 400, "input"),
    ({"input": ""}, 400, "input"),
    ({"encoding_format": "hex"}, 400, "encoding_format"),
]


@pytest.mark.parametrize(("fields", "status", "param"), REFUSED)
def test_what_cannot_be_embedded_is_refused(
    client: openai.OpenAI, fields: dict[str, Any], status: int, param: str
) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        client.embeddings.create(**{"model": "wordllama", "input": "a", **fields})
    assert (raised.value.status_code, raised.value.param) == (status, param)


def test_lists_refuse_what_they_would_pass_over(client: openai.OpenAI, files: dict[str, str]) -> None:
    for asked in (
        lambda: client.vector_stores.list(before="vs_YQ"),
        lambda: client.vector_stores.files.list("vs_YQ", filter="failed"),
        lambda: client.files.list(order="asc"),
    ):
        with pytest.raises(openai.BadRequestError):
            asked()


def test_files_are_their_owners_and_take_the_scope(serve: Any, tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    server = serve(AUTH_MODE="api_key", DATA_DIR=ring.folder)
    ann, bob = (ring.make(name, DEFAULT_SCOPES).text for name in ("ann", "bob"))
    with client_of(server, key=ann) as client:
        file = client.files.create(file=("a.txt", b"Ann's secret is a badger."), purpose="assistants")
        store = client.vector_stores.create(name="s", file_ids=[file.id])
    ready(server.url, file.id, headers={"authorization": f"Bearer {ann}"})
    with client_of(server, key=bob) as client:
        assert list(client.files.list()) == []
        assert client.vector_stores.search(store.id, query="badger").data == []
        assert client.vector_stores.retrieve(store.id).file_counts.total == 0
        with pytest.raises(openai.NotFoundError):
            client.vector_stores.create(name="mine", file_ids=[file.id])
        assert client.vector_stores.delete(store.id).deleted
    reader = ring.make("ann", frozenset({"read"})).text
    with client_of(server, key=reader) as client:
        assert client.vector_stores.search(store.id, query="badger").data[0].file_id == file.id
        for refused in (
            lambda: client.files.delete(file.id),
            lambda: client.embeddings.create(model="wordllama", input="a"),
            lambda: client.files.create(file=("a.txt", b"a"), purpose="assistants"),
        ):
            with pytest.raises(openai.PermissionDeniedError):
                refused()
