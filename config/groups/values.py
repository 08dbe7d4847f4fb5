"""What the values of several groups have in common. Seconds are floats, sizes are bytes."""

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from domain.models import is_base_url

_HEADER = re.compile(r"[!-~]{1,4096}")  # what RFC 9110 allows in every header, without white space


class Group(BaseModel):
    """A part of the settings. The whole is built once, of all groups; none is built by itself."""

    model_config = ConfigDict(frozen=True, defer_build=True)


def empty_is_unset(value: Any) -> Any:
    """None for an empty or blank string."""
    return None if isinstance(value, str) and not value.strip() else value


def split_list(value: Any) -> Any:
    """A list from commas, or from JSON."""
    if not isinstance(value, str):
        return value
    if value.strip().startswith("["):
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError("starts like JSON, but is not a JSON list of strings") from error
    return [part.strip() for part in value.split(",") if part.strip()]


def http_url(value: str | None) -> str | None:
    """The base URL of an HTTP API."""
    if value is not None and not is_base_url(value):
        raise ValueError("must be a URL like http://127.0.0.1:11434/v1, without user or password")
    return value


def sendable(key: SecretStr | None) -> SecretStr | None:
    """A key that an HTTP header can carry."""
    if key is not None and not _HEADER.fullmatch(key.get_secret_value()):
        raise ValueError("contains a key that is empty, too long, or has a character that no HTTP header can carry")
    return key


Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Unset = BeforeValidator(empty_is_unset)
ModelName = Annotated[str | None, Field(max_length=200), Unset]
BaseUrl = Annotated[str | None, Field(max_length=2_000), AfterValidator(http_url), Unset]
Key = Annotated[SecretStr | None, AfterValidator(sendable), Unset]
