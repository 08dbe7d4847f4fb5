"""The models that callers may use, and the choice of those that handle a request."""

from domain.callers import Caller
from domain.catalogue import Catalogue, ModelEntry
from domain.streams import Ask
from services.chain_service import ChainService


class ModelService:
    """The catalogue, and the choice of models for a request."""

    def __init__(self, catalogue: Catalogue, chains: ChainService) -> None:
        self._catalogue = catalogue
        self._chains = chains

    @property
    def default(self) -> str:
        """The id of the model to use if a request names none."""
        return self._catalogue.default

    def all(self, caller: Caller) -> list[ModelEntry]:
        """Every model that the caller may use, in the catalogue's order."""
        return self._catalogue.open_to(caller)

    def get(self, model_id: str | None, caller: Caller) -> ModelEntry:
        """The model with this id, or the default; raises `model_not_found`."""
        return self._catalogue.find(model_id, caller)

    def fallbacks(self, entry: ModelEntry, caller: Caller) -> list[str]:
        """The ids of the models to ask if this one fails, without those that the caller may not use."""
        return [each.id for each in self._catalogue.fallbacks(entry, caller)]

    def choose(self, model_id: str | None, ask: Ask, caller: Caller) -> list[ModelEntry]:
        """The model, then its fallbacks. Raises an error if the model cannot do what is asked, or lacks its key."""
        entry = self._catalogue.find(model_id, caller, pointer="#/model")
        asked, image = ask.parameters, ask.image
        entry.check(asked, image)
        candidates = self._catalogue.candidates(entry, asked, caller, image)
        if not entry.simulated and len(candidates) == 1:
            self._chains.require(entry)
        return candidates
