"""Every setting of the server, read from the environment and `.env`.

Seconds are floats, sizes are bytes. Only `main` and `cli` call `get_settings`; everything else is handed
its settings, so that a test can hand over others.
"""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from config import checks
from domain.events import UNWRITABLE

_HEADER = re.compile(r"[!-~]{1,4096}")  # what RFC 9110 lets pass in every header, without white space
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class Settings(BaseSettings):
    """All settings with their defaults; unknown names in the environment are other programs' business."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, case_sensitive=True
    )

    APP_NAME: str = Field("StreamForge API", min_length=1, max_length=200)
    APP_VERSION: str = Field("0.1.0", min_length=1, max_length=50)
    HOST: str = Field("127.0.0.1", min_length=1, max_length=255)
    PORT: int = Field(8001, ge=0, le=65_535)
    WORKERS: int = Field(1, ge=1, le=1_000)
    CORS_ORIGINS: Annotated[tuple[str, ...], NoDecode, Field(max_length=100)] = (
        "http://localhost:3000",
        "http://localhost:5173",
        "http://127.0.0.1:3000",
        "http://127.0.0.1:5173",
    )
    ALLOWED_HOSTS: Annotated[tuple[str, ...], NoDecode, Field(max_length=100), AfterValidator(checks.host_names)] = ()
    FORWARDED_ALLOW_IPS: Annotated[
        tuple[str, ...], NoDecode, Field(max_length=100), AfterValidator(checks.networks)
    ] = ()
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"

    AUTH_MODE: Literal["none", "api_key", "jwt"] = "none"
    ALLOW_UNAUTHENTICATED: bool = False
    AUTH_SECRET: Annotated[SecretStr | None, AfterValidator(checks.long_secret)] = None
    JWT_JWKS: Annotated[str | None, Field(max_length=2_000), AfterValidator(checks.token_keys)] = None
    JWT_ISSUER: str | None = Field(None, max_length=2_000)
    JWT_AUDIENCE: str | None = Field(None, max_length=2_000)
    JWT_OWNER_CLAIM: str = Field("sub", min_length=1, max_length=200)
    JWT_SCOPE_CLAIM: str = Field("scope", min_length=1, max_length=200)
    RATE_LIMIT: Annotated[str, AfterValidator(checks.rates)] = ""
    RATE_LIMIT_ADDRESS: Annotated[str, AfterValidator(checks.rates)] = ""

    REDIS_URL: Annotated[SecretStr | None, AfterValidator(checks.redis_url)] = None
    REDIS_PREFIX: str = Field("streamforge", pattern=r"^[A-Za-z0-9._-]{1,50}$")
    ALLOW_OPEN_REDIS: bool = False

    SIMULATED_TEXT: str = Field("This is a simulated streaming response", min_length=1, max_length=1_000_000)
    STREAM_DELAY: float = Field(0.1, ge=0, le=60, allow_inf_nan=False)

    LLM_MODEL: str | None = Field(None, max_length=200)
    LLM_BASE_URL: str | None = Field(None, max_length=2_000)
    LLM_TEMPERATURE: float = Field(0.7, ge=0, le=2, allow_inf_nan=False)
    LLM_MAX_TOKENS: int = Field(2000, ge=1, le=1_000_000)
    OPENAI_API_KEY: SecretStr | None = None
    MODELS_FILE: Path | None = None
    PROVIDER_KEYS: Annotated[dict[str, SecretStr], NoDecode, Field(max_length=100)] = {}
    PROVIDER_PROXY: SecretStr | None = None
    MODEL_CONNECT_TIMEOUT: Seconds = 5
    MODEL_FIRST_TOKEN_TIMEOUT: Seconds = 30
    MODEL_STALLED_AFTER: Seconds = 5
    MODEL_IDLE_TIMEOUT: Seconds = 30
    MODEL_RETRIES: int = Field(2, ge=0, le=10)
    MODEL_RETRY_BACKOFF: float = Field(0.5, ge=0, le=60, allow_inf_nan=False)
    MODEL_RETRY_AFTER_MAX: float = Field(20, ge=0, le=3_600, allow_inf_nan=False)
    MODEL_BUDGET: Seconds = 60
    MODEL_COOLING: float = Field(30, ge=0, le=86_400, allow_inf_nan=False)

    LANGSMITH_TRACING: bool = False
    LANGSMITH_ENDPOINT: str = Field("https://api.smith.langchain.com", max_length=2_000)
    LANGSMITH_API_KEY: SecretStr | None = None
    LANGSMITH_PROJECT: str = Field("streamforge", min_length=1, max_length=200)

    DATA_DIR: Path = Path("data")
    DATABASE_URL: SecretStr | None = None

    MEMORY_MAX_TOKENS: int = Field(16_000, ge=0, le=10_000_000)
    SUMMARY_MODEL: str | None = Field(None, max_length=200)

    ENABLE_RAG: bool = False
    RAG_TOP_K: int = Field(5, ge=1, le=50)
    RAG_MIN_SCORE: float = Field(0.2, ge=-1, le=1, allow_inf_nan=False)
    RAG_STRICT: bool = True
    CHUNK_SIZE: int = Field(1000, ge=100, le=10_000)
    CHUNK_OVERLAP: int = Field(200, ge=0, le=5_000)
    MAX_UPLOAD_BYTES: int = Field(32 * 1024 * 1024, ge=1, le=2**30)
    DOCUMENTS_AT_ONCE: int = Field(2, ge=1, le=64)
    DOCUMENTS_QUEUED: int = Field(100, ge=1, le=100_000)
    DOCUMENT_LEASE: float = Field(30, ge=1, le=600, allow_inf_nan=False)
    EMBEDDING_PROVIDER: Literal["local", "openai", "openai_compatible", "ollama"] = "local"
    EMBEDDING_MODEL: str | None = Field(None, max_length=200)
    EMBEDDING_BASE_URL: str | None = Field(None, max_length=2_000)
    VECTOR_STORE_TYPE: Literal["sqlite", "chroma", "pgvector"] = "sqlite"
    CHROMA_URL: Annotated[SecretStr | None, AfterValidator(checks.chroma_url)] = None
    CHROMA_DIR: Path | None = None

    STREAM_COMMIT_DELAY: float = Field(0.3, ge=0, le=60, allow_inf_nan=False)
    STREAM_HEARTBEAT: Seconds = 15
    STREAM_LEASE: float = Field(15, ge=1, le=600, allow_inf_nan=False)
    STREAM_ORPHAN_TIMEOUT: Seconds = 60
    STREAM_RETENTION: Seconds = 600
    STREAM_RETAINED_BYTES: int = Field(64 * 1024 * 1024, ge=0, le=2**40)
    STREAM_SEND_TIMEOUT: Seconds = 30
    STREAM_MAX_SECONDS: Seconds = 600
    STREAM_MAX_EVENTS: int = Field(100_000, ge=3, le=10_000_000)
    STREAM_MAX_BYTES: int = Field(4 * 1024 * 1024, ge=1, le=2**30)
    MAX_STREAMS: int = Field(10_000, ge=1, le=1_000_000)
    MAX_MESSAGE_CHARS: int = Field(32_000, ge=1, le=10_000_000)
    MAX_BODY_BYTES: int = Field(1024 * 1024, ge=1, le=2**30)
    DRAIN_TIMEOUT: float = Field(25, ge=0, le=3_600, allow_inf_nan=False)

    @field_validator("CORS_ORIGINS", "ALLOWED_HOSTS", "FORWARDED_ALLOW_IPS", mode="before")
    @classmethod
    def _split_list(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value.strip().startswith("["):
            try:
                return json.loads(value)
            except ValueError as error:
                raise ValueError("starts like JSON, but is not a JSON list of strings") from error
        return [part.strip() for part in value.split(",") if part.strip()]

    @field_validator("CORS_ORIGINS")
    @classmethod
    def _exact_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if "*" in origin:
                raise ValueError("may hold no wildcard, because browsers send credentials along; list each origin")
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or origin != f"{parts.scheme}://{parts.netloc}":
                raise ValueError("wants origins like http://localhost:3000, without a path")
        return origins

    @field_validator("PROVIDER_KEYS", mode="before")
    @classmethod
    def _keys_by_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            try:
                value = json.loads(value or "{}")
            except ValueError:
                raise ValueError('wants a JSON object like {"anthropic": "..."}') from None
        if not isinstance(value, dict) or not all(isinstance(key, str | SecretStr) for key in value.values()):
            raise ValueError('wants a JSON object like {"anthropic": "..."}')
        return value

    @field_validator("OPENAI_API_KEY", "PROVIDER_KEYS", "LANGSMITH_API_KEY")
    @classmethod
    def _sendable(cls, value: Any) -> Any:
        for key in value.values() if isinstance(value, dict) else [value]:
            if key is not None and not _HEADER.fullmatch(key.get_secret_value()):
                raise ValueError("holds a key that is empty, too long, or has a character that no header can carry")
        return value

    @field_validator(
        "LLM_MODEL", "LLM_BASE_URL", "SUMMARY_MODEL",
        "OPENAI_API_KEY", "MODELS_FILE", "PROVIDER_PROXY", "LANGSMITH_API_KEY",
        "DATA_DIR", "DATABASE_URL",
        "EMBEDDING_MODEL", "EMBEDDING_BASE_URL", "CHROMA_URL", "CHROMA_DIR",
        "AUTH_SECRET", "JWT_JWKS", "JWT_ISSUER", "JWT_AUDIENCE", "REDIS_URL",
        mode="before",
    )  # fmt: skip
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("PROVIDER_PROXY")
    @classmethod
    def _proxy_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parts = urlsplit(value.get_secret_value())
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("wants a URL like http://proxy.example:3128")
        return value

    @field_validator("DATABASE_URL")
    @classmethod
    def _postgres_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parts = urlsplit(value.get_secret_value())
            hosts = parts.netloc.rpartition("@")[2]
            if (
                parts.scheme not in ("postgresql", "postgres")
                or len(parts.path) < 2
                or not re.fullmatch(r"([^:,]*|\[[0-9a-fA-F:]+])(:\d+)?(,[^:,]*(:\d+)?)*", hosts)
            ):
                raise ValueError("wants a URL like postgresql://user:password@localhost:5432/streamforge")
        return value

    @field_validator("LLM_BASE_URL", "EMBEDDING_BASE_URL", "LANGSMITH_ENDPOINT")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            port_is_valid = parts.port is None or parts.port > 0  # reading it raises a ValueError above 65535
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or not port_is_valid:
                raise ValueError("wants a URL like http://127.0.0.1:11434/v1, without user or password")
        return value

    @field_validator("SIMULATED_TEXT")
    @classmethod
    def _writable(cls, text: str) -> str:
        if UNWRITABLE.search(text):
            raise ValueError("may not hold NUL or half of a surrogate pair")
        if not text.strip():
            raise ValueError("wants at least one word")
        return text

    @model_validator(mode="after")
    def _simulated_text_fits(self) -> Self:
        if len(self.SIMULATED_TEXT.encode()) > self.STREAM_MAX_BYTES:
            raise ValueError("SIMULATED_TEXT is longer than STREAM_MAX_BYTES; shorten the one or raise the other")
        return self

    @model_validator(mode="after")
    def _pieces_overlap_in_part(self) -> Self:
        if self.CHUNK_OVERLAP > self.CHUNK_SIZE // 2:
            raise ValueError("CHUNK_OVERLAP is more than half of CHUNK_SIZE; shorten the one or raise the other")
        return self

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        checks.check_listening(self.HOST, authenticated=self.AUTH_MODE != "none", allowed=self.ALLOW_UNAUTHENTICATED)
        if self.AUTH_MODE == "jwt":
            checks.check_tokens(self.JWT_JWKS, self.JWT_ISSUER, self.JWT_AUDIENCE)
        checks.check_redis(self.REDIS_URL, allowed=self.ALLOW_OPEN_REDIS)
        checks.check_embedding(self.EMBEDDING_PROVIDER, self.EMBEDDING_MODEL, self.EMBEDDING_BASE_URL)
        several = self.WORKERS > 1 or self.REDIS_URL is not None
        checks.check_vectors(self.VECTOR_STORE_TYPE, self.CHROMA_URL, self.DATABASE_URL, several=several)
        return self

    def database_url(self) -> str:
        """Where the database is: in a file of DATA_DIR, if DATABASE_URL names none. It may hold a password."""
        if self.DATABASE_URL is not None:
            return self.DATABASE_URL.get_secret_value()
        return f"sqlite:///{self.database_file()}"

    def chroma_folder(self) -> Path:
        """Where Chroma keeps vectors, if it does and no server of its own does."""
        return self.CHROMA_DIR or self.DATA_DIR / "chroma"

    def database_file(self) -> Path:
        """SQLite's file, where there is no DATABASE_URL."""
        return self.DATA_DIR / "streamforge.db"

    def provider_keys(self) -> dict[str, str]:
        """The key of each provider that has one, by its name."""
        keys = {name: key.get_secret_value() for name, key in self.PROVIDER_KEYS.items()}
        if self.OPENAI_API_KEY is not None:
            keys["openai"] = self.OPENAI_API_KEY.get_secret_value()
        return keys

    def provider_proxy(self) -> str | None:
        """The proxy that providers are reached through, if any. It may hold a password."""
        return self.PROVIDER_PROXY.get_secret_value() if self.PROVIDER_PROXY else None


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
    return f"StreamForge cannot start, its settings are wrong: {'; '.join(problems)}. See .env.example."
