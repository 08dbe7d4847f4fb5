"""Whether the URL leads to a StreamForge, and if not, where it leads."""

from dataclasses import dataclass

from cli.doctor.recordings import Recording, printable

MAX_SILENCE = 120.0
"""Seconds. Something other than StreamForge may report any number, and is not waited for."""


class CannotCheckError(Exception):
    """There is nothing to check; the message says what was found instead, and what to do."""


@dataclass(frozen=True, slots=True)
class Start:
    """A server's clocks, as it reports them, in seconds."""

    heartbeat: float
    silence: float


def start_of(hello: Recording, url: str) -> Start:
    """The clocks in the first probe; raises `CannotCheckError` if it is not a probe."""
    said = hello.start or {}
    heartbeat, silence = said.get("heartbeat"), said.get("silence")
    if isinstance(heartbeat, int | float) and isinstance(silence, int | float) and 0 < silence <= MAX_SILENCE:
        return Start(float(heartbeat), float(silence))
    raise CannotCheckError(hello.failure or _instead(hello, f"{url}/chat/doctor"))


def _instead(hello: Recording, address: str) -> str:
    """What responded there, in a sentence."""
    ours = hello.refusal if isinstance(hello.refusal.get("code"), str) else {}
    detail = printable(str(ours.get("detail", "")), 300)
    if advice := _REFUSED_HERE.get(str(ours.get("code"))):
        return f"The server was reached, but refused the request: {detail} {advice}"
    if detail and hello.status in (429, 503):
        wait = f" Retry-After is {hello.headers['retry-after']} s." if "retry-after" in hello.headers else ""
        return f"{address} returned {hello.status}: {detail}{wait}"
    if 300 <= hello.status < 400:
        location = hello.headers.get("location", "another place")
        return f"{address} redirects to {location}. Check that URL, or use the one that your clients use."
    said = _BY_STATUS.get(hello.status, "returned {status} instead of a stream.")
    return f"{address} {said.format(status=hello.status)}"


_REFUSED_HERE = {
    "foreign_host": "To serve others, set AUTH_MODE, and add the name to ALLOWED_HOSTS. See docs/security.md.",
    "forwarded_request": "See docs/security.md.",
}
_REFUSED = "returned {status}. The server never asks for a key here, so a proxy before it does. Let this path pass."
_MISSING = (
    "returned {status}: there is no stream doctor. Is a part of the path missing before /chat, is this an older "
    "StreamForge, or is /chat/doctor not passed on?"
)
_BROKEN = "returned {status}: the proxy does not reach the server. Is it running where the proxy expects it?"
_BY_STATUS = {
    200: "responds, but not as StreamForge does. Is the path right, and where does the proxy send it?",
    401: _REFUSED,
    403: _REFUSED,
    404: _MISSING,
    405: _MISSING,
    502: _BROKEN,
    503: _BROKEN,
    504: _BROKEN,
}
