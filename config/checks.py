"""What a setting that guards the server must look like, and which settings do not go together.

Each check answers its value, or raises a `ValueError` with a sentence that shows no secret.
"""

import ipaddress
import re
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

_RATE = r"[1-9][0-9]{0,8}/(second|minute|hour|day)"
_RATES = re.compile(rf"{_RATE}(;{_RATE}){{0,3}}")
_HOST_NAME = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]", re.ASCII)


def host_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names that a Host header may bring."""
    for name in names:
        if not _HOST_NAME.fullmatch(name):
            raise ValueError("wants names like chat.example.org or [::1], without scheme, port or wildcard")
    return names


def networks(names: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses of proxies, one by one or as networks; never all addresses there are."""
    for name in names:
        try:
            width = ipaddress.ip_network(name).prefixlen
        except ValueError:
            raise ValueError("wants addresses or networks of proxies like 10.0.0.7 or 10.0.0.0/24") from None
        if width == 0:
            raise ValueError("may not trust every address: anybody could then name any other; list the proxies")
    return names


def rates(value: str) -> str:
    """Rates like `60/minute;1000/day`, or nothing."""
    value = value.replace(" ", "")
    if value and not _RATES.fullmatch(value):
        raise ValueError("wants up to four rates like 60/minute;1000/day")
    return value


def long_secret(value: SecretStr | None) -> SecretStr | None:
    """A secret that nobody guesses."""
    if value is not None and len(value.get_secret_value()) < 32:
        raise ValueError("wants at least 32 random characters, for example from: openssl rand -hex 32")
    return value


def token_keys(value: str | None) -> str | None:
    """Where the keys of a token issuer are: an https URL (http on this machine alone), or a file."""
    if value is None or "://" not in value:
        return value
    parts = urlsplit(value)
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not safe or not parts.hostname or parts.username:
        raise ValueError("wants a file, or a URL like https://issuer.example/.well-known/jwks.json")
    return value


def redis_url(value: SecretStr | None) -> SecretStr | None:
    """A Redis or Valkey server's address."""
    if value is not None:
        parts = urlsplit(value.get_secret_value())
        there = parts.path if parts.scheme == "unix" else parts.hostname
        if parts.scheme not in ("redis", "rediss", "unix") or not there:
            raise ValueError("wants a URL like redis://:password@127.0.0.1:6379/0")
    return value


def chroma_url(value: SecretStr | None) -> SecretStr | None:
    """A Chroma server's address."""
    if value is not None:
        parts = urlsplit(value.get_secret_value())
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("wants a URL like http://127.0.0.1:8000")
    return value


def check_embedding(provider: str, model: str | None, base_url: str | None) -> None:
    """Whether the provider of vectors is told all that it has no default for."""
    if provider == "local" and model not in (None, "wordllama", "minilm"):
        raise ValueError("EMBEDDING_PROVIDER is local, whose EMBEDDING_MODEL is wordllama or minilm")
    if provider in ("openai_compatible", "ollama") and model is None:
        raise ValueError(f"EMBEDDING_PROVIDER is {provider}, which wants EMBEDDING_MODEL")
    if provider == "openai_compatible" and base_url is None:
        raise ValueError("EMBEDDING_PROVIDER is openai_compatible, which wants EMBEDDING_BASE_URL")


def check_vectors(kind: str, chroma: SecretStr | None, database: SecretStr | None, *, several: bool) -> None:
    """Vectors must be where every process finds them; a folder of Chroma's breaks when a second one opens it."""
    if kind == "pgvector" and database is None:
        raise ValueError("VECTOR_STORE_TYPE is pgvector, which wants DATABASE_URL")
    if kind == "chroma" and chroma is None and several:
        raise ValueError(
            "VECTOR_STORE_TYPE is chroma, whose folder only one process may open, and WORKERS or REDIS_URL says that "
            "there are several. Set CHROMA_URL to a Chroma server, or choose another VECTOR_STORE_TYPE"
        )


def check_listening(host: str, *, authenticated: bool, allowed: bool) -> None:
    """Without authentication only this machine may ask, unless somebody has said otherwise."""
    if not (authenticated or allowed or is_loopback(host)):
        raise ValueError(
            "HOST is not a loopback address and AUTH_MODE is none, so anybody who reaches it could use the models. "
            "Set AUTH_MODE to api_key or jwt, or HOST to 127.0.0.1, or ALLOW_UNAUTHENTICATED to true"
        )


def check_tokens(keys: str | None, issuer: str | None, audience: str | None) -> None:
    """A token is only worth something with all three."""
    if keys is None or issuer is None or audience is None:
        raise ValueError("AUTH_MODE is jwt, which wants JWT_JWKS, JWT_ISSUER and JWT_AUDIENCE")
    if "://" not in keys and not Path(keys).is_file():
        raise ValueError("JWT_JWKS is neither a URL nor a file that is there")


def check_redis(url: SecretStr | None, *, allowed: bool) -> None:
    """A Redis that other machines reach must ask for a password: it holds the answers of all."""
    parts = urlsplit(url.get_secret_value() if url else "")
    if parts.hostname and not (parts.password or allowed or is_loopback(parts.hostname)):
        raise ValueError(
            "REDIS_URL names another machine and no password, so whoever reaches it could read every answer. "
            "Give Redis a password, or set ALLOW_OPEN_REDIS to true"
        )


def is_loopback(host: str) -> bool:
    """Whether the name or address is this machine's own; other names are not asked for."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
