"""Who may ask, and how often."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from config.groups.server import is_loopback
from config.groups.values import Group, Unset

_RATE = r"[1-9][0-9]{0,8}/(second|minute|hour|day)"
_RATES = re.compile(rf"{_RATE}(;{_RATE}){{0,3}}")


def rates(value: str) -> str:
    """Rates like `60/minute;1000/day`, or nothing."""
    value = value.replace(" ", "")
    if value and not _RATES.fullmatch(value):
        raise ValueError("must be up to four rates like 60/minute;1000/day")
    return value


def long_secret(value: SecretStr | None) -> SecretStr | None:
    """A secret that cannot be guessed."""
    if value is not None and len(value.get_secret_value()) < 32:
        raise ValueError("must have at least 32 random characters, for example from: openssl rand -hex 32")
    return value


def token_keys(value: str | None) -> str | None:
    """Where the keys of a token issuer are: an https URL (http on this machine alone), or a file."""
    if value is None or "://" not in value:
        return value
    parts = urlsplit(value)
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not safe or not parts.hostname or parts.username:
        raise ValueError("must be a file, or a URL like https://issuer.example/.well-known/jwks.json")
    return value


class AccessSettings(Group):
    """API keys, tokens and rates."""

    AUTH_MODE: Literal["none", "api_key", "jwt"] = "none"
    ALLOW_UNAUTHENTICATED: bool = False
    AUTH_SECRET: Annotated[SecretStr | None, AfterValidator(long_secret), Unset] = None
    JWT_JWKS: Annotated[str | None, Field(max_length=2_000), AfterValidator(token_keys), Unset] = None
    JWT_ISSUER: Annotated[str | None, Field(max_length=2_000), Unset] = None
    JWT_AUDIENCE: Annotated[str | None, Field(max_length=2_000), Unset] = None
    JWT_OWNER_CLAIM: str = Field("sub", min_length=1, max_length=200)
    JWT_SCOPE_CLAIM: str = Field("scope", min_length=1, max_length=200)
    RATE_LIMIT: Annotated[str, AfterValidator(rates)] = ""
    RATE_LIMIT_ADDRESS: Annotated[str, AfterValidator(rates)] = ""

    @model_validator(mode="after")
    def _tokens_can_be_checked(self) -> Self:
        if self.AUTH_MODE != "jwt":
            return self
        if self.JWT_JWKS is None or self.JWT_ISSUER is None or self.JWT_AUDIENCE is None:
            raise ValueError("AUTH_MODE is jwt, which needs JWT_JWKS, JWT_ISSUER and JWT_AUDIENCE")
        if "://" not in self.JWT_JWKS and not Path(self.JWT_JWKS).is_file():
            raise ValueError("JWT_JWKS is neither a URL nor an existing file")
        return self
