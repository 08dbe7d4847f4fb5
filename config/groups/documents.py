"""Documents: how they are ingested, indexed and used in answers."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from config.groups.values import BaseUrl, Group, ModelName, Unset


def chroma_url(value: SecretStr | None) -> SecretStr | None:
    """A Chroma server's address."""
    if value is not None:
        parts = urlsplit(value.get_secret_value())
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be a URL like http://127.0.0.1:8000")
    return value


class DocumentSettings(Group):
    """Ingestion, embeddings, vectors and retrieval."""

    ENABLE_RAG: bool = False
    RAG_TOP_K: int = Field(5, ge=1, le=50)
    RAG_MIN_SCORE: float = Field(0.2, ge=-1, le=1, allow_inf_nan=False)
    RAG_STRICT: bool = True
    CHUNK_SIZE: int = Field(1000, ge=100, le=10_000)
    CHUNK_OVERLAP: int = Field(200, ge=0, le=5_000)
    MAX_UPLOAD_BYTES: int = Field(32 * 1024 * 1024, ge=1, le=2**30)
    DOCUMENTS_AT_ONCE: int = Field(2, ge=1, le=64)
    DOCUMENTS_QUEUED: int = Field(100, ge=1, le=100_000)
    DOCUMENT_CONFINEMENT: Annotated[Literal["full", "limits"] | None, Unset] = None
    DOCUMENT_LEASE: float = Field(30, ge=1, le=600, allow_inf_nan=False)
    EMBEDDING_PROVIDER: Literal["local", "openai", "openai_compatible", "ollama"] = "local"
    EMBEDDING_MODEL: ModelName = None
    EMBEDDING_BASE_URL: BaseUrl = None
    VECTOR_STORE_TYPE: Literal["sqlite", "chroma", "pgvector"] = "sqlite"
    CHROMA_URL: Annotated[SecretStr | None, AfterValidator(chroma_url), Unset] = None
    CHROMA_DIR: Annotated[Path | None, Unset] = None

    @model_validator(mode="after")
    def _chunks_overlap_in_part(self) -> Self:
        if self.CHUNK_OVERLAP > self.CHUNK_SIZE // 2:
            raise ValueError("CHUNK_OVERLAP is more than half of CHUNK_SIZE; shorten the one or raise the other")
        return self

    @model_validator(mode="after")
    def _embedding_is_complete(self) -> Self:
        provider, model = self.EMBEDDING_PROVIDER, self.EMBEDDING_MODEL
        if provider == "local" and model not in (None, "wordllama", "minilm"):
            raise ValueError("EMBEDDING_PROVIDER is local, whose EMBEDDING_MODEL is wordllama or minilm")
        if provider in ("openai_compatible", "ollama") and model is None:
            raise ValueError(f"EMBEDDING_PROVIDER is {provider}, which needs EMBEDDING_MODEL")
        if provider == "openai_compatible" and self.EMBEDDING_BASE_URL is None:
            raise ValueError("EMBEDDING_PROVIDER is openai_compatible, which needs EMBEDDING_BASE_URL")
        return self


def check_vectors(kind: str, chroma: SecretStr | None, database: SecretStr | None, *, several: bool) -> None:
    """Raises if a process could not find the vectors; a folder of Chroma's breaks if a second one opens it."""
    if kind == "pgvector" and database is None:
        raise ValueError("VECTOR_STORE_TYPE is pgvector, which needs DATABASE_URL")
    if kind == "chroma" and chroma is None and several:
        raise ValueError(
            "VECTOR_STORE_TYPE is chroma, whose folder only one process may open, and WORKERS or REDIS_URL says that "
            "there are several. Set CHROMA_URL to a Chroma server, or choose another VECTOR_STORE_TYPE"
        )
