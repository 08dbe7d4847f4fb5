"""Whether the doctor has come to a StreamForge at all, and if not, where else."""

from dataclasses import dataclass

from cli.doctor.recordings import Recording, printable

MAX_SILENCE = 120.0
"""Seconds. What is no StreamForge may say anything, and is not waited for."""


class CannotCheckError(Exception):
    """There is nothing there to check; the sentence says what there is instead, and what to do."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a server says of its clocks. Seconds."""

    heartbeat: float
    silence: float


def start_of(hello: Recording, url: str) -> Start:
    """What the first probe's server says of itself; `CannotCheckError` where it is none."""
    said = hello.start or {}
    heartbeat, silence = said.get("heartbeat"), said.get("silence")
    if isinstance(heartbeat, int | float) and isinstance(silence, int | float) and 0 < silence <= MAX_SILENCE:
        return Start(float(heartbeat), float(silence))
    raise CannotCheckError(hello.failure or _instead(hello, f"{url}/chat/doctor"))


def _instead(hello: Recording, address: str) -> str:
    """What answers there, in a sentence."""
    ours = hello.refusal if isinstance(hello.refusal.get("code"), str) else {}
    detail = printable(str(ours.get("detail", "")), 300)
    if ours.get("code") == "foreign_host":
        return f"The server is reached, and refuses: {detail} {_FOREIGN}"
    if detail and hello.status in (429, 503):
        wait = f" Retry-After is {hello.headers['retry-after']} s." if "retry-after" in hello.headers else ""
        return f"{address} answers {hello.status}: {detail}{wait}"
    if 300 <= hello.status < 400:
        location = hello.headers.get("location", "another place")
        return f"{address} redirects to {location}. Check that one, or call it as your clients do."
    said = _BY_STATUS.get(hello.status, "answers {status}, where a stream was expected.")
    return f"{address} {said.format(status=hello.status)}"


_FOREIGN = (
    "Behind a proxy, send `Host: localhost` to a server without authentication, or put the name into ALLOWED_HOSTS. "
    "See docs/security.md."
)
_REFUSED = "answers {status}, and the server asks nobody for a key there: something before it does. Let this path pass."
_MISSING = (
    "answers {status}: there is no stream doctor. Is a path missing before /chat, is the StreamForge there an older "
    "one, or is /chat/doctor not passed on?"
)
_BROKEN = "answers {status}: the proxy does not reach the server. Does it run, where the proxy looks for it?"
_BY_STATUS = {
    200: "answers, but not as StreamForge does. Is the path right, and what is passed on there?",
    401: _REFUSED,
    403: _REFUSED,
    404: _MISSING,
    405: _MISSING,
    502: _BROKEN,
    503: _BROKEN,
    504: _BROKEN,
}
