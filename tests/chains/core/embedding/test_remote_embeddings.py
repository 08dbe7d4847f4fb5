"""Vectors of a provider: through LangChain, by our address, our key and our clocks."""

import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from chains.core.embedding.cpu_worker import CpuWorker
from chains.core.embedding.remote_embeddings import BATCH
from chains.embeddings import Embedder, EmbeddingModel, EmbeddingProvider, RequestLimits, make_embedder
from domain.documents import Index
from domain.errors import StreamForgeError
from domain.models import Backoff
from tests.support.embeddings import Vectors, vectors_server

DIALECTS: list[EmbeddingProvider] = ["openai", "openai_compatible", "ollama"]
Make = Callable[..., Embedder]


@pytest.fixture
def server() -> Iterator[Vectors]:
    with vectors_server() as server:
        yield server


@pytest.fixture
async def make(server: Vectors) -> AsyncIterator[Make]:
    """An embedder of that server; closed with the test."""
    made: list[Embedder] = []

    def one(provider: EmbeddingProvider = "openai", keys: dict[str, str] | None = None, **limits: Any) -> Embedder:
        url = server.url if provider == "ollama" else f"{server.url}/v1"
        embedder = make_embedder(
            EmbeddingModel(provider, "some-model", url),
            RequestLimits(**{"backoff": Backoff(first=0.01), **limits}),
            CpuWorker(),
            keys={"openai": "sk-mine"} if keys is None else keys,
        )
        made.append(embedder)
        return embedder

    yield one
    for embedder in made:
        await embedder.close()


@pytest.mark.parametrize("provider", DIALECTS)
async def test_vectors_have_length_one_and_the_providers_dimension(
    make: Make, server: Vectors, provider: EmbeddingProvider
) -> None:
    embedder = make(provider)
    assert await embedder.embed_query("hello") == struct.pack("<2f", 0.6, 0.8)
    assert await embedder.index() == Index(f"{provider}:some-model", 2)
    assert len(server.seen) == 1


@pytest.mark.parametrize("provider", DIALECTS)
async def test_many_texts_go_in_batches_and_come_in_order(
    make: Make, server: Vectors, provider: EmbeddingProvider
) -> None:
    server.rows = lambda texts: [[1.0, float(text.split()[1])] for text in texts]
    vectors = await make(provider).embed([f"n {n}" for n in range(2 * BATCH + 1)])
    assert [round(y / x) for x, y in (struct.unpack("<2f", vector) for vector in vectors)] == [*range(2 * BATCH + 1)]
    assert [len(request["body"]["input"]) for request in server.seen] == [BATCH, BATCH, 1]


async def test_texts_are_sent_as_texts_cut_and_never_empty(make: Make, server: Vectors) -> None:
    await make().embed(["", " \n", "x" * 10_000, "\ud800"])
    assert server.seen[0]["body"]["input"] == [".", ".", "x" * 8_000, "\ufffd"]


async def test_the_key_goes_to_its_provider_only(make: Make, server: Vectors) -> None:
    for provider, keys in (
        ("openai", {"openai": "sk-mine"}),
        ("openai_compatible", {"openai": "sk-mine"}),
        ("openai_compatible", {"openai": "sk-mine", "embedding": "sk-other"}),
        ("ollama", {"openai": "sk-mine"}),
    ):
        await make(provider, keys).embed_query("hello")
    sent = [request["authorization"] for request in server.seen]
    assert sent == ["Bearer sk-mine", "Bearer none", "Bearer sk-other", None]


@pytest.mark.parametrize("provider", DIALECTS)
async def test_what_may_pass_is_asked_again(make: Make, server: Vectors, provider: EmbeddingProvider) -> None:
    server.refusals = [(500, {}), (429, {"retry-after": "0"})]
    assert len(await make(provider).embed_query("hello")) == 8
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("refusals", "code", "asked"),
    [
        ([(500, {})] * 3, "provider_error", 3),
        ([(401, {})], "provider_auth", 1),
        ([(404, {})], "provider_model", 1),
        ([(302, {"location": "http://127.0.0.1:9/"})] * 3, "provider_error", 3),
    ],
    ids=["failing", "key", "model", "redirect"],
)
async def test_a_failure_is_one_of_models_and_holds_no_word_of_the_provider(
    make: Make, server: Vectors, refusals: list[tuple[int, dict[str, str]]], code: str, asked: int
) -> None:
    server.refusals = refusals
    with pytest.raises(StreamForgeError) as caught:
        await make().embed_query("hello")
    assert caught.value.code == code
    assert "secret" not in caught.value.detail
    assert len(server.seen) == asked


async def test_a_server_that_is_silent_has_a_deadline(make: Make, server: Vectors) -> None:
    server.frozen = threading.Event()
    with pytest.raises(StreamForgeError) as caught:
        await make(connect=0.1, answer=0.2, backoff=Backoff(0)).embed_query("hello")
    assert caught.value.code == "provider_timeout"


@pytest.mark.parametrize(
    "rows",
    [
        lambda texts: [],
        lambda texts: [[0.0, 0.0] for _ in texts],
        lambda texts: [[float("nan"), 1.0] for _ in texts],
        lambda texts: [[] for _ in texts],
        lambda texts: [[1.0] * (2 + n) for n, _ in enumerate(texts)],
    ],
    ids=["too few", "zero", "not a number", "empty", "of two lengths"],
)
async def test_what_is_no_vector_is_a_failure(make: Make, server: Vectors, rows: Any) -> None:
    server.rows = rows
    with pytest.raises(StreamForgeError) as caught:
        await make(backoff=Backoff(0)).embed(["a", "b"])
    assert caught.value.code == "provider_error"
