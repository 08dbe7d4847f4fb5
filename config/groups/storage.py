"""Where things are stored: the database, and the Redis that several processes share."""

import re
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from config.groups.server import is_loopback
from config.groups.values import Group, Unset

_POSTGRES_HOSTS = re.compile(r"([^:,]*|\[[0-9a-fA-F:]+])(:\d+)?(,[^:,]*(:\d+)?)*")


def postgres_url(value: SecretStr | None) -> SecretStr | None:
    """A PostgreSQL database's address, as libpq reads it."""
    if value is not None:
        parts = urlsplit(value.get_secret_value())
        hosts = parts.netloc.rpartition("@")[2]
        named = parts.scheme in ("postgresql", "postgres") and len(parts.path) >= 2
        if not named or not _POSTGRES_HOSTS.fullmatch(hosts):
            raise ValueError("must be a URL like postgresql://user:password@localhost:5432/streamforge")
    return value


def redis_url(value: SecretStr | None) -> SecretStr | None:
    """A Redis or Valkey server's address."""
    if value is not None:
        parts = urlsplit(value.get_secret_value())
        there = parts.path if parts.scheme == "unix" else parts.hostname
        if parts.scheme not in ("redis", "rediss", "unix") or not there:
            raise ValueError("must be a URL like redis://:password@127.0.0.1:6379/0")
    return value


class StorageSettings(Group):
    """The database and Redis."""

    DATA_DIR: Annotated[Path, Unset] = Path("data")
    DATABASE_URL: Annotated[SecretStr | None, AfterValidator(postgres_url), Unset] = None
    REDIS_URL: Annotated[SecretStr | None, AfterValidator(redis_url), Unset] = None
    REDIS_PREFIX: str = Field("streamforge", pattern=r"^[A-Za-z0-9._-]{1,50}$")
    ALLOW_OPEN_REDIS: bool = False

    @model_validator(mode="after")
    def _redis_asks_for_a_password(self) -> Self:
        """A Redis that other machines can reach must ask for one: it has everyone's answers."""
        parts = urlsplit(self.redis_address() or "")
        if parts.hostname and not (parts.password or self.ALLOW_OPEN_REDIS or is_loopback(parts.hostname)):
            raise ValueError(
                "REDIS_URL names another machine and no password, so anyone who can reach it could read every answer. "
                "Give Redis a password, or set ALLOW_OPEN_REDIS to true"
            )
        return self

    def database_file(self) -> Path:
        """SQLite's file, if DATABASE_URL is None."""
        return self.DATA_DIR / "streamforge.db"

    def database_url(self) -> str:
        """Where the database is: in a file of DATA_DIR, if DATABASE_URL names none. It may hold a password."""
        if self.DATABASE_URL is not None:
            return self.DATABASE_URL.get_secret_value()
        return f"sqlite:///{self.database_file()}"

    def redis_address(self) -> str | None:
        """REDIS_URL in plain text. It may hold a password."""
        return self.REDIS_URL.get_secret_value() if self.REDIS_URL else None
