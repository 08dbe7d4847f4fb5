"""The embedding model of the settings, made on first use: a server without documents imports and asks nothing."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from chains.embeddings import Embedder, words_weight
from domain.documents import Index, Vector


class Embedding:
    """An embedder that `make` creates when it is first needed; raises a `StreamForgeError` if that fails.

    `place` names where vectors are stored if not in the database: an index in another place is a different index.
    """

    def __init__(self, make: Callable[[], Embedder], place: str = "") -> None:
        self._make = make
        self._place = place
        self._made: Embedder | None = None

    def require(self) -> Embedder:
        """The embedder; raises if it cannot be made."""
        if self._made is None:
            self._made = self._make()
        return self._made

    @property
    def model(self) -> str:
        """The model of its index, without asking the provider."""
        model = self.require().model
        return f"{model}@{self._place}" if self._place else model

    @property
    def words_weight(self) -> float:
        """The weight of a ranking by keywords relative to one by its vectors."""
        return words_weight(self.require().model)

    async def index(self) -> Index:
        """The index for its vectors. A remote model is asked once for their length."""
        return replace(await self.require().index(), model=self.model)

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """One vector for each text, in order."""
        return await self.require().embed(texts)

    async def embed_query(self, text: str) -> Vector:
        """The vector of a question, computed before any batch that waits."""
        return await self.require().embed_query(text)

    async def close(self) -> None:
        if self._made is not None:
            await self._made.close()
