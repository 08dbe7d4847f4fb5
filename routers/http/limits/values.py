"""The limits of connections. Nobody has to set them: they are far from what clients do."""

from dataclasses import dataclass

KIB = 1024
BESIDE_A_FIELD = 4
"""Bytes of a head: the colon, the space and the end of a field's line."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Of a connection, and of what arrives on it before anybody has asked for it. Tests have shorter clocks.

    A connection without a request is kept for `idle_seconds`. A head has `head_seconds` from its first byte, and on a
    fresh connection from the beginning. A body has `body_seconds`; an upload may take longer, if it keeps `upload_rate`
    (bytes a second) from then on, but never longer than `upload_seconds`. What a refused client still sends is waited
    for `linger_seconds`.
    """

    head_bytes: int = 64 * KIB
    head_fields: int = 100
    head_seconds: float = 10.0
    pipelined: int = 16
    idle_seconds: int = 5
    body_seconds: float = 30.0
    upload_rate: int = 16 * KIB
    upload_seconds: float = 900.0
    unguarded_bytes: int = 64 * KIB * KIB
    """Of all bodies together whose callers are not known yet."""
    read_ahead: int = 320 * KIB
    """Of one such body: what uvicorn takes before it stops reading, and its last read."""
    discarded: int = 64 * KIB
    """What is still read of a body that nobody wants, so that its connection can go on."""
    linger_seconds: float = 1.0
    lingered: int = 33 * KIB * KIB
    """What is taken meanwhile, and dropped; the shipped proxies send no more. One that is reset while it sends passes
    no response on."""


SHIPPED = ConnectionLimits()
