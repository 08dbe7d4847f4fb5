"""A finding, and how it words times, headers and refusals."""

from dataclasses import dataclass, field
from typing import Literal

from cli.doctor.recordings import Recording

Verdict = Literal["well", "wrong", "unknown", "skipped"]
Measured = dict[str, float | int | str | bool | list[str] | None]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `check` and the names in `measured` are stable; seconds are floats."""

    check: str
    verdict: Verdict
    said: str
    advice: tuple[str, ...] = ()
    measured: Measured = field(default_factory=dict)


EXPECTED = {
    "Content-Type": ("text/event-stream; charset=utf-8", "browsers refuse anything else as an event stream"),
    "Cache-Control": ("no-cache, no-transform", "without it, caches store and compressors change the stream"),
    "X-Stream-Id": ("", "clients need it to resume and to stop a stream"),
    "X-Request-Id": ("", "it leads to the request's line in the log"),
    "X-Content-Type-Options": ("nosniff", "without it, browsers guess the type"),
}
"""The headers of every stream, and why they matter. X-Accel-Buffering is absent because nginx removes it."""


def changed_headers(recording: Recording) -> list[str]:
    """The names of the headers that are missing or changed."""
    return [name for name, (wanted, _) in EXPECTED.items() if not _says(recording.headers.get(name.lower()), wanted)]


def _says(value: str | None, wanted: str) -> bool:
    """Whether a header has all the wanted values, in any order and case."""
    if value is None:
        return False
    said = {part.strip().lower() for part in value.replace(";", ",").split(",")}
    return {part.strip() for part in wanted.replace(";", ",").split(",") if part} <= said


def what_came(recording: Recording) -> str:
    """What arrived instead of what was requested, as part of a sentence."""
    if recording.failure:
        return recording.failure.rstrip(".")
    code = recording.refusal.get("code")
    named = f" ({code})" if isinstance(code, str) and len(code) <= 50 and code.isidentifier() else ""
    if recording.status != 200:
        return f"the response was {recording.status}{named}"
    known = {"late": "nothing arrived in time", "cut": "the connection was cut"}
    return known.get(recording.ending, "the response was not a probe")


def rounded(seconds: float) -> float:
    """Seconds, for programs."""
    return round(seconds, 4)


def time_of(seconds: float) -> str:
    """Seconds, for people."""
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    return f"{seconds:.1f} s".replace(".0 s", " s")
