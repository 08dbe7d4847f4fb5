"""Vectors from a provider's server, through LangChain's `Embeddings`.

As with chat models, the address, the key and the HTTP client are passed to the package explicitly. Packages are
imported on first use, in a thread.
"""

import asyncio
import math
import random
from array import array
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chains.core.providers.environment import forget_environment
from domain.documents import Index, Vector
from domain.errors import ERRORS, StreamForgeError
from domain.models import Backoff
from domain.text import writable

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

BATCH = 64
"""The most texts in one request."""
MAX_CHARS = 8_000
"""The most characters of one text. The rest is cut off: most models accept no longer text."""
MAX_DIMENSION = 16_384

_PACKAGES = {"openai": "langchain-openai", "openai_compatible": "langchain-openai", "ollama": "langchain-ollama"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model to make; `connect` in seconds."""

    provider: str
    model: str
    base_url: str | None
    api_key: str | None = field(repr=False)
    connect: float
    proxy: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Made:
    """A LangChain model, and how to close its connections."""

    embeddings: "Embeddings"
    close: Callable[[], Awaitable[None]]


def make(wanted: Wanted) -> Made:
    """The model. Blocks while packages are imported: call it in a thread."""
    forget_environment()
    try:
        return _ollama(wanted) if wanted.provider == "ollama" else _openai(wanted)
    except ImportError as error:
        detail = f"EMBEDDING_PROVIDER={wanted.provider} needs {_PACKAGES[wanted.provider]}; install requirements.txt."
        raise StreamForgeError("provider_not_configured", detail) from error


def _openai(wanted: Wanted) -> Made:
    from langchain_openai import OpenAIEmbeddings
    from pydantic import SecretStr

    from chains.core.providers.clients import httpx2_client
    from chains.core.providers.table import URLS

    client = httpx2_client(connect=wanted.connect, proxy=wanted.proxy)
    options: dict[str, Any] = {
        "base_url": wanted.base_url or URLS["openai"],
        "api_key": SecretStr(wanted.api_key or "none"),
        "max_retries": 0,
        "timeout": client.timeout,
        "chunk_size": BATCH,
        "check_embedding_ctx_length": False,  # it would download a tokenizer, and send tokens instead of texts
        "http_async_client": client,
    }
    return Made(OpenAIEmbeddings(model=wanted.model, **options), client.aclose)


def _ollama(wanted: Wanted) -> Made:
    from langchain_ollama import OllamaEmbeddings

    from chains.core.providers.clients import httpx_options
    from chains.core.providers.table import URLS

    options = httpx_options(connect=wanted.connect, proxy=wanted.proxy)
    if wanted.api_key:
        options["headers"]["authorization"] = f"Bearer {wanted.api_key}"
    model: Any = OllamaEmbeddings(
        model=wanted.model, base_url=wanted.base_url or URLS["ollama"], async_client_kwargs=options
    )
    return Made(model, model._async_client.close)


class RemoteEmbedder:
    """One model of a provider. `answer` is in seconds, for one request once it is connected."""

    def __init__(
        self, wanted: Wanted, *, answer: float, backoff: Backoff, maker: Callable[[Wanted], Made] = make
    ) -> None:
        self.model = f"{wanted.provider}:{wanted.model}"
        self._wanted = wanted
        self._seconds = wanted.connect + answer
        self._backoff = backoff
        self._maker = maker
        self._making = asyncio.Lock()
        self._made: Made | None = None
        self._dimension: int | None = None

    async def index(self) -> Index:
        if self._dimension is None:
            await self.embed_query("How long is this?")
        assert self._dimension is not None
        return Index(self.model, self._dimension)

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        vectors: list[Vector] = []
        for at in range(0, len(texts), BATCH):
            vectors += await self._embed([_text(text) for text in texts[at : at + BATCH]])
        return vectors

    async def embed_query(self, text: str) -> Vector:
        (vector,) = await self._embed([_text(text)])
        return vector

    async def close(self) -> None:
        made, self._made = self._made, None
        if made is not None:
            await made.close()

    async def _embed(self, texts: list[str]) -> list[Vector]:
        """Embed, with retries if the failure may pass."""
        embeddings = await self._embeddings()
        for attempt in range(1, self._backoff.retries + 2):
            try:
                return await self._ask(embeddings, texts)
            except StreamForgeError as error:
                if not ERRORS[error.code].retryable or attempt > self._backoff.retries:
                    raise
                chance = random.random()  # noqa: S311
                await asyncio.sleep(self._backoff.delay(attempt, error.retry_after, chance))
        raise AssertionError("unreachable")

    async def _ask(self, embeddings: "Embeddings", texts: list[str]) -> list[Vector]:
        from chains.core.reading.failures import failure

        try:
            async with asyncio.timeout(self._seconds):
                rows = await embeddings.aembed_documents(texts)
            vectors = await asyncio.to_thread(_vectors, rows, len(texts))
        except Exception as error:
            raise failure(error) from None
        if self._dimension is None:
            self._dimension = len(vectors[0]) // 4
        if any(len(vector) != 4 * self._dimension for vector in vectors):
            raise StreamForgeError("provider_error")
        return vectors

    async def _embeddings(self) -> "Embeddings":
        async with self._making:
            if self._made is None:
                self._made = await asyncio.to_thread(self._maker, self._wanted)
            return self._made.embeddings


def _text(text: str) -> str:
    """The text as it is sent. Providers refuse blank texts."""
    return writable(text[:MAX_CHARS]).strip() or "."


def _vectors(rows: list[list[float]], count: int) -> list[Vector]:
    """The rows of a response as unit vectors; raises `provider_error` if they are not one valid vector per text."""
    if len(rows) != count:
        raise StreamForgeError("provider_error")
    return [_unit(row) for row in rows]


def _unit(row: list[float]) -> Vector:
    length = math.hypot(*row)
    if not 0 < len(row) <= MAX_DIMENSION or not length or not math.isfinite(length):
        raise StreamForgeError("provider_error")
    return _little(array("f", (value / length for value in row)))


def _little(values: "array[float]") -> bytes:
    import sys

    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()
