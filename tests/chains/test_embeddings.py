"""The bundled models: what a vector is, whatever the text; and that nothing is fetched for it."""

import asyncio
import math
import struct
from collections.abc import AsyncIterator
from importlib.util import find_spec

import pytest

from chains.core.embedding.cpu_worker import CpuWorker
from chains.core.embedding.local_embeddings import MODELS
from chains.embeddings import Embedder, EmbeddingModel, RequestLimits, make_embedder
from domain.documents import Index, Parsed, Section, Vector
from domain.errors import StreamForgeError
from tests.conftest import missing

ODD = ["", " \n ", "\x00", "\ud800 half", "🙂" * 500, "word " * 200_000, "x" * 2_000_000, "\u202e", " " * 50_000 + "a"]


def numbers(vector: Vector) -> tuple[float, ...]:
    return struct.unpack(f"<{len(vector) // 4}f", vector)


def cosine(one: Vector, other: Vector) -> float:
    return sum(a * b for a, b in zip(numbers(one), numbers(other), strict=True))


@pytest.fixture(params=sorted(MODELS))
async def embedder(request: pytest.FixtureRequest) -> AsyncIterator[Embedder]:
    """Each of the bundled models that are installed."""
    for package in MODELS[request.param].packages:
        if find_spec(package) is None:
            missing(package)
    worker = CpuWorker()
    embedder = make_embedder(EmbeddingModel("local", request.param), RequestLimits(), worker, keys={})
    yield embedder
    await embedder.close()
    await worker.close()


async def test_like_is_near_like_and_far_from_the_rest(embedder: Embedder) -> None:
    question = await embedder.embed_query("How do I change my password?")
    near, far = await embedder.embed(["Resetting the password of your account", "Bake the bread for an hour"])
    assert cosine(question, near) > 0.4
    assert cosine(question, far) < 0.2


async def test_every_text_has_a_vector_of_length_one(embedder: Embedder) -> None:
    index = await embedder.index()
    for vector in await embedder.embed(ODD):
        assert len(vector) == 4 * index.dimension
        assert math.hypot(*numbers(vector)) == pytest.approx(1, abs=1e-5)


async def test_a_text_has_the_same_vector_in_whatever_company(embedder: Embedder) -> None:
    texts = ["one", "another that is rather longer than the first", "", "three " * 300]
    together = await embedder.embed(texts)
    assert together == [(await embedder.embed([text]))[0] for text in texts]
    assert together[0] == await embedder.embed_query("one")
    assert await embedder.embed(texts[::-1]) == together[::-1]


async def test_what_lies_beyond_the_window_does_not_count(embedder: Embedder) -> None:
    within = "many words are within " * 200
    one, other = await embedder.embed([within, within + "and some are not " * 1000])
    assert one == other


async def test_thousands_of_texts_come_in_order_with_questions_in_between() -> None:
    if find_spec("wordllama") is None:
        missing("wordllama")
    worker = CpuWorker()
    embedder = make_embedder(EmbeddingModel("local"), RequestLimits(), worker, keys={})
    assert await embedder.index() == Index("local:wordllama", 256)
    texts = [f"number {n}" for n in range(5_000)]
    work = asyncio.create_task(embedder.embed(texts))
    await embedder.embed_query("number 4321")
    assert not work.done()
    vectors = await work
    assert len(vectors) == 5_000
    assert vectors[4321] == await embedder.embed_query("number 4321")
    await worker.close()


async def test_documents_are_split_by_the_real_child() -> None:
    if find_spec("langchain_text_splitters") is None:
        missing("langchain-text-splitters")
    worker = CpuWorker()
    parsed = Parsed("text/plain", (Section("word " * 500, page=1), Section("tail " * 300, page=2)), pages=2)
    chunks = await worker.split(parsed, 1000, 100)
    await worker.close()
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
    assert {chunk.page for chunk in chunks} == {1, 2}


@pytest.fixture
def nothing_to_fetch_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which whatever reached for the network would not get there."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", "/nonexistent")


async def test_the_weights_are_found_where_there_is_neither_network_nor_home(
    nothing_to_fetch_with: None, embedder: Embedder
) -> None:
    assert len(await embedder.embed_query("hello")) == 4 * (await embedder.index()).dimension


@pytest.mark.parametrize(
    ("choice", "code", "hint"),
    [
        (EmbeddingModel("local", "word2vec"), "provider_model", "wordllama"),
        (EmbeddingModel("openai"), "provider_not_configured", "OPENAI_API_KEY"),
        (EmbeddingModel("openai_compatible", "m"), "provider_not_configured", "EMBEDDING_BASE_URL"),
        (EmbeddingModel("ollama"), "provider_not_configured", "EMBEDDING_MODEL"),
    ],
)
def test_what_is_known_to_fail_says_what_to_set(choice: EmbeddingModel, code: str, hint: str) -> None:
    with pytest.raises(StreamForgeError, match=hint) as caught:
        make_embedder(choice, RequestLimits(), CpuWorker(), keys={})
    assert caught.value.code == code
