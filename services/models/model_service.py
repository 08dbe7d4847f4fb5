"""The models: which there are, and who answers a request."""

from domain.callers import Caller
from domain.models import Catalogue, ModelEntry
from domain.streams import Ask
from services.chain_service import ChainService


class ModelService:
    """The catalogue, and what a request makes of it."""

    def __init__(self, catalogue: Catalogue, chains: ChainService) -> None:
        self._catalogue = catalogue
        self._chains = chains

    @property
    def default(self) -> str:
        """The id of the model that answers where none is named."""
        return self._catalogue.default

    def all(self, caller: Caller) -> list[ModelEntry]:
        """Every model that the caller may use, in the catalogue's order."""
        return self._catalogue.open_to(caller)

    def get(self, model_id: str | None, caller: Caller) -> ModelEntry:
        """The model of this id, or `model_not_found`."""
        return self._catalogue.find(model_id, caller)

    def fallbacks(self, entry: ModelEntry, caller: Caller) -> list[str]:
        """The ids of those who are asked instead, as far as the caller may use them."""
        return [each.id for each in self._catalogue.fallbacks(entry, caller)]

    def choose(self, model_id: str | None, ask: Ask, caller: Caller) -> list[ModelEntry]:
        """Who is asked, and who after that. Refused where the model cannot do what is asked, or lacks its key."""
        entry = self._catalogue.find(model_id, caller, pointer="#/model")
        asked, image = ask.parameters, ask.image
        entry.check(asked, image)
        candidates = self._catalogue.candidates(entry, asked, caller, image)
        if not entry.simulated and len(candidates) == 1:
            self._chains.require(entry)
        return candidates
