"""Streams: their clocks and limits, and what the simulated responder says."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from config.groups.values import Group, Seconds
from domain.text import UNWRITABLE


def words(text: str) -> str:
    """Text that every wire and database can carry, with at least one word."""
    if UNWRITABLE.search(text):
        raise ValueError("must not contain NUL or half of a surrogate pair")
    if not text.strip():
        raise ValueError("must have at least one word")
    return text


class StreamSettings(Group):
    """One stream, and all together."""

    SIMULATED_TEXT: Annotated[str, Field(min_length=1, max_length=1_000_000), AfterValidator(words)] = (
        "This is a simulated streaming response"
    )
    STREAM_DELAY: float = Field(0.1, ge=0, le=60, allow_inf_nan=False)
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

    @model_validator(mode="after")
    def _simulated_text_fits(self) -> Self:
        if len(self.SIMULATED_TEXT.encode()) > self.STREAM_MAX_BYTES:
            raise ValueError("SIMULATED_TEXT is longer than STREAM_MAX_BYTES; shorten the one or raise the other")
        return self
