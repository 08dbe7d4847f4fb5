"""Texts to vectors, by a bundled model in a child process or by LangChain's `Embeddings` of a provider.

Vectors have length 1, so that the scalar product of two is the cosine of their angle. Texts without a word have one
too. A text counts as far as the model's window reaches: what comes after is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from chains.core.embedding.cpu_worker import CpuWorker
from chains.core.embedding.local_embeddings import require_local
from chains.core.embedding.remote_embeddings import RemoteEmbedder, Wanted
from domain.documents import Index, Vector
from domain.errors import StreamForgeError
from domain.events import writable

Provider = Literal["local", "openai", "openai_compatible", "ollama"]

DEFAULTS: Mapping[str, str] = {"local": "wordllama", "openai": "text-embedding-3-small"}
"""The model of providers that have one for everybody."""


def words_weight(model: str) -> float:
    """What the rank of a passage by words counts beside that by the vectors of `model`, in reciprocal rank fusion.

    As measured by `benchmarks.retrieval`: static vectors and words are worth the same and know different things; beside
    a model that reads whole sentences, words only settle what is close.
    """
    return 1.0 if model == "local:wordllama" else 0.1


class Embedder(Protocol):
    """One embedding model. Failures are the codes of models: `provider_...`."""

    @property
    def model(self) -> str:
        """What its index is called: the provider and its model, like `local:wordllama`."""

    async def index(self) -> Index:
        """Where its vectors belong. A remote model is asked once how long they are."""

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """A vector a text, in order. Any number of texts: they go in batches, between which questions are answered."""

    async def embed_query(self, text: str) -> Vector:
        """The vector of a question, before any batch that waits."""

    async def close(self) -> None:
        """Let go of connections; the child process is its owner's."""


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
        """Nothing is open but the worker, which is its owner's."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which model embeds. An empty `model` is the provider's of `DEFAULTS`; `base_url` is for providers elsewhere."""

    provider: Provider
    model: str | None = None
    base_url: str | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a provider is waited for, in seconds, and how often it is asked again.

    `connect` and `answer` are of one request; the wait before a retry doubles from `backoff` up to `longest`, which
    also caps what the provider asks for.
    """

    connect: float = 5.0
    answer: float = 60.0
    retries: int = 2
    backoff: float = 0.5
    longest: float = 20.0


def make_embedder(
    choice: Choice, patience: Patience, worker: CpuWorker, *, keys: Mapping[str, str], proxy: str | None = None
) -> Embedder:
    """The embedder of the settings. Nothing is imported, started or asked before its first use.

    `provider_not_configured` or `provider_model` where it is known to fail, in a sentence for the operator. `keys` are
    the providers' by name; that of `embedding`, if there is one, goes before.
    """
    model = choice.model or DEFAULTS.get(choice.provider)
    if model is None:
        raise StreamForgeError(
            "provider_not_configured", f"EMBEDDING_PROVIDER={choice.provider} wants EMBEDDING_MODEL."
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
    wanted = Wanted(choice.provider, model, choice.base_url, key, patience.connect, proxy)
    return RemoteEmbedder(
        wanted,
        answer=patience.answer,
        retries=patience.retries,
        backoff=patience.backoff,
        longest=patience.longest,
    )
