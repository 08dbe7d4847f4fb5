"""The embedding model of the settings, made on first use: a server without documents imports and asks nothing."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from chains.embeddings import Embedder, words_weight
from domain.documents import Index, Vector


class Embedding:
    """An embedder that `make` makes when it is first needed; a `StreamForgeError` where it cannot be.

    `place` is where vectors are kept that are not kept in the database: an index elsewhere is another one.
    """

    def __init__(self, make: Callable[[], Embedder], place: str = "") -> None:
        self._make = make
        self._place = place
        self._made: Embedder | None = None

    def require(self) -> Embedder:
        """The embedder, or why there is none."""
        if self._made is None:
            self._made = self._make()
        return self._made

    @property
    def model(self) -> str:
        """The model of its index. Known without asking anybody."""
        model = self.require().model
        return f"{model}@{self._place}" if self._place else model

    @property
    def words_weight(self) -> float:
        """What words count beside its vectors."""
        return words_weight(self.require().model)

    async def index(self) -> Index:
        """Where its vectors belong. A remote model is asked once how long they are."""
        return replace(await self.require().index(), model=self.model)

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """A vector a text, in order."""
        return await self.require().embed(texts)

    async def embed_query(self, text: str) -> Vector:
        """The vector of a question, before any batch that waits."""
        return await self.require().embed_query(text)

    async def close(self) -> None:
        """Let go of what was opened."""
        if self._made is not None:
            await self._made.close()
