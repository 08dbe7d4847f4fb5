"""Embeds texts, with a bundled model in a child process or with LangChain's `Embeddings` of a provider.

All vectors are normalised, even those of texts without a word, so the dot product of two is their cosine. The part of a
text beyond the model's window is ignored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from chains.core.embedding.cpu_worker import CpuWorker
from chains.core.embedding.local_embeddings import require_local
from chains.core.embedding.remote_embeddings import RemoteEmbedder, Wanted
from domain.documents import Index, Vector
from domain.errors import StreamForgeError
from domain.models import Backoff
from domain.text import writable

EmbeddingProvider = Literal["local", "openai", "openai_compatible", "ollama"]

DEFAULTS: Mapping[str, str] = {"local": "wordllama", "openai": "text-embedding-3-small"}
"""The default model of providers that have one."""


def words_weight(model: str) -> float:
    """The weight of the ranking by keywords, relative to that by the vectors of `model`, in reciprocal rank fusion.

    As measured by `benchmarks.retrieval`: with static vectors, keywords are worth as much and find other things; with a
    model that reads whole sentences, keywords only decide close calls.
    """
    return 1.0 if model == "local:wordllama" else 0.1


class Embedder(Protocol):
    """One embedding model. Errors have the codes of models: `provider_...`."""

    @property
    def model(self) -> str:
        """The name of its index: provider and model, like `local:wordllama`."""

    async def index(self) -> Index:
        """The index for its vectors. A remote model is asked once for their length."""

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """One vector for each text, in order. There may be many: questions are embedded between batches."""

    async def embed_query(self, text: str) -> Vector:
        """The vector of a question, computed before any waiting batch."""

    async def close(self) -> None:
        """Close connections. The child process is closed by its owner."""


class LocalEmbedder:
    """A bundled model, run by `worker`."""

    def __init__(self, name: str, worker: CpuWorker) -> None:
        self.model = f"local:{name}"
        self._name = name
        self._local = require_local(name)
        self._worker = worker

    async def index(self) -> Index:
        return Index(self.model, self._local.dimension)

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        batch = self._local.batch
        vectors: list[Vector] = []
        for at in range(0, len(texts), batch):
            vectors += await self._worker.embed(self._name, [writable(text) for text in texts[at : at + batch]])
        return vectors

    async def embed_query(self, text: str) -> Vector:
        (vector,) = await self._worker.embed(self._name, [writable(text)], urgent=True)
        return vector

    async def close(self) -> None:
        """Does nothing: only the worker is open, and its owner closes it."""


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """The embedding model to use; `model` defaults to the provider's in `DEFAULTS`, `base_url` to its own address."""

    provider: EmbeddingProvider
    model: str | None = None
    base_url: str | None = None


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How long to wait for a provider, in seconds, and how often to try again.

    `connect` and `answer` are for one request.
    """

    connect: float = 5.0
    answer: float = 60.0
    backoff: Backoff = field(default_factory=Backoff)


def make_embedder(
    choice: EmbeddingModel,
    limits: RequestLimits,
    worker: CpuWorker,
    *,
    keys: Mapping[str, str],
    proxy: str | None = None,
) -> Embedder:
    """The embedder for these settings. Nothing is imported, started or requested before its first use.

    Raises `provider_not_configured` or `provider_model`, with a sentence for the operator, if it is certain to fail.
    `keys` are the providers' keys by name; one named `embedding` takes precedence.
    """
    model = choice.model or DEFAULTS.get(choice.provider)
    if model is None:
        raise StreamForgeError(
            "provider_not_configured", f"EMBEDDING_PROVIDER={choice.provider} needs EMBEDDING_MODEL."
        )
    if choice.provider == "local":
        return LocalEmbedder(model, worker)
    if choice.provider == "openai" and not keys.keys() & {"openai", "embedding"}:
        raise StreamForgeError(
            "provider_not_configured",
            "EMBEDDING_PROVIDER=openai needs a key: OPENAI_API_KEY, or the entry 'embedding' of PROVIDER_KEYS.",
        )
    if choice.provider == "openai_compatible" and choice.base_url is None:
        raise StreamForgeError(
            "provider_not_configured",
            "EMBEDDING_PROVIDER=openai_compatible needs EMBEDDING_BASE_URL, which is not set.",
        )
    key = keys.get("embedding") or keys.get(choice.provider)
    wanted = Wanted(choice.provider, model, choice.base_url, key, limits.connect, proxy)
    return RemoteEmbedder(wanted, answer=limits.answer, backoff=limits.backoff)
