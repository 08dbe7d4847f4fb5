"""The server: its name, its socket, and who may reach it from a browser or through a proxy."""

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from config.groups.values import Group, Unset, split_list

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]{0,30}://[^\s/?#@,\\]{1,253}", re.ASCII)
_HOST_NAME = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]", re.ASCII)


def exact_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    """Origins as browsers send them; those of extensions and of applications have schemes of their own."""
    for origin in origins:
        if "*" in origin:
            raise ValueError("must not contain a wildcard, because browsers send credentials; list each origin")
        if not _ORIGIN.fullmatch(origin) or origin.startswith("file:"):
            raise ValueError("must be origins like http://localhost:3000, without a path")
    return origins


def host_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names that a Host header may contain."""
    for name in names:
        if not _HOST_NAME.fullmatch(name):
            raise ValueError("must be names like chat.example.org or [::1], without scheme, port or wildcard")
    return names


def networks(names: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses of proxies, single ones or networks; never all addresses."""
    for name in names:
        try:
            width = ipaddress.ip_network(name).prefixlen
        except ValueError:
            raise ValueError("must be addresses or networks of proxies, like 10.0.0.7 or 10.0.0.0/24") from None
        if width == 0:
            raise ValueError("must not trust every address: any client could then claim any address; list the proxies")
    return names


_Names = Annotated[tuple[str, ...], NoDecode, Field(max_length=100), BeforeValidator(split_list)]


class ServerSettings(Group):
    """The application and its listening socket."""

    APP_NAME: str = Field("StreamForge API", min_length=1, max_length=200)
    APP_VERSION: str = Field("0.1.0", min_length=1, max_length=50)
    HOST: str = Field("127.0.0.1", min_length=1, max_length=255)
    PORT: int = Field(8001, ge=0, le=65_535)
    DOCS: Annotated[bool | None, Unset] = None
    ALLOW_PROFILING: bool = False
    WORKERS: int = Field(1, ge=1, le=1_000)
    CORS_ORIGINS: Annotated[_Names, AfterValidator(exact_origins)] = (
        "http://localhost:3000",
        "http://localhost:5173",
        "http://127.0.0.1:3000",
        "http://127.0.0.1:5173",
    )
    ALLOWED_HOSTS: Annotated[_Names, AfterValidator(host_names)] = ()
    FORWARDED_ALLOW_IPS: Annotated[_Names, AfterValidator(networks)] = ()
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    MAX_BODY_BYTES: int = Field(1024 * 1024, ge=1, le=2**30)
    DRAIN_TIMEOUT: float = Field(25, ge=0, le=3_600, allow_inf_nan=False)


def is_loopback(host: str) -> bool:
    """Whether the name or address is this machine's own; other names are not resolved."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_listening(host: str, *, authenticated: bool, allowed: bool) -> None:
    """Raises if other machines could reach a server that asks for no key, unless that is `allowed`."""
    if not (authenticated or allowed or is_loopback(host)):
        raise ValueError(
            "HOST is not a loopback address and AUTH_MODE is none, so anyone who can reach it could use the models. "
            "Set AUTH_MODE to api_key or jwt, or HOST to 127.0.0.1, or ALLOW_UNAUTHENTICATED to true"
        )
