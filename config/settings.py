"""Every setting of the server, read from the environment and `.env`.

Names are flat; the groups in `config/groups` say which room a setting is for. Only `main`, `serving` and `cli` call
`get_settings`; everything else is handed its settings, so that a test can hand over others.
"""

import sys
from functools import lru_cache
from pathlib import Path
from typing import Self

from pydantic import ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from config.groups.access import AccessSettings
from config.groups.conversations import ConversationSettings
from config.groups.documents import DocumentSettings, check_vectors
from config.groups.models import ModelSettings
from config.groups.server import ServerSettings, check_listening
from config.groups.shares import ShareSettings
from config.groups.storage import StorageSettings
from config.groups.streams import StreamSettings
from domain.callers import UNLIMITED, OwnerLimits


class Settings(
    DocumentSettings,
    ConversationSettings,
    StorageSettings,
    ModelSettings,
    StreamSettings,
    ShareSettings,
    AccessSettings,
    ServerSettings,
    BaseSettings,
):
    """All settings with their defaults; unknown names in the environment are other programs' business."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        case_sensitive=True,
        defer_build=False,
    )

    @model_validator(mode="after")
    def _groups_go_together(self) -> Self:
        check_listening(self.HOST, authenticated=self.AUTH_MODE != "none", allowed=self.ALLOW_UNAUTHENTICATED)
        several = self.WORKERS > 1 or self.REDIS_URL is not None
        check_vectors(self.VECTOR_STORE_TYPE, self.CHROMA_URL, self.DATABASE_URL, several=several)
        return self

    def shows_docs(self) -> bool:
        """Whether /docs is served. Where callers are authenticated, it is only if the settings say so."""
        return self.AUTH_MODE == "none" if self.DOCS is None else self.DOCS

    def confines_fully(self) -> bool:
        """Whether documents are read only if what reads them can be confined to them."""
        if self.DOCUMENT_CONFINEMENT is None:
            return sys.platform == "linux" or self.AUTH_MODE != "none"
        return self.DOCUMENT_CONFINEMENT == "full"

    def owner_limits(self) -> OwnerLimits:
        """The most that each owner may have; nothing is limited for the one there is without authentication."""
        return UNLIMITED if self.AUTH_MODE == "none" else self.limits_of_owners()

    def chroma_folder(self) -> Path:
        """Where Chroma keeps vectors, if CHROMA_URL is None."""
        return self.CHROMA_DIR or self.DATA_DIR / "chroma"


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The process's one instance, read from the environment on the first call."""
    return Settings()


def describe(error: Exception) -> str:
    """Why the settings could not be loaded, in one sentence that shows no value: it may be a key."""
    if not isinstance(error, ValidationError):
        return f"StreamForge cannot start: .env cannot be read ({type(error).__name__}). It must be a UTF-8 text file."
    problems = []
    for item in error.errors(include_input=False, include_url=False):
        name = ".".join(str(part) for part in item["loc"][:1])
        problems.append(f"{name}: {item['msg'].removeprefix('Value error, ')}".removeprefix(": "))
    return f"StreamForge cannot start because its settings are wrong: {'; '.join(problems)}. See .env.example."
