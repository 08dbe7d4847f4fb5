"""What a finding is, and how it speaks of times, headers and refusals."""

from dataclasses import dataclass, field
from typing import Literal

from cli.doctor.recordings import Recording

Verdict = Literal["well", "wrong", "unknown", "skipped"]
Measured = dict[str, float | int | str | bool | list[str] | None]


@dataclass(frozen=True, slots=True)
class Finding:
    """How one thing is. `check` and the names in `measured` are stable; seconds are floats."""

    check: str
    verdict: Verdict
    said: str
    advice: tuple[str, ...] = ()
    measured: Measured = field(default_factory=dict)


EXPECTED = {
    "Content-Type": ("text/event-stream; charset=utf-8", "browsers refuse anything else as an event stream"),
    "Cache-Control": ("no-cache, no-transform", "caches keep, and compressors change, what does not say so"),
    "X-Stream-Id": ("", "clients need it to resume and to stop a stream"),
    "X-Request-Id": ("", "it leads to the request's line in the log"),
    "X-Content-Type-Options": ("nosniff", "browsers guess types without it"),
}
"""What each stream says of itself, and why that matters. Not X-Accel-Buffering, which nginx keeps for itself."""


def changed_headers(recording: Recording) -> list[str]:
    """Those that do not come as they were sent."""
    return [name for name, (wanted, _) in EXPECTED.items() if not _says(recording.headers.get(name.lower()), wanted)]


def _says(value: str | None, wanted: str) -> bool:
    """Whether a header says all that is wanted, in any order and spelling."""
    if value is None:
        return False
    said = {part.strip().lower() for part in value.replace(";", ",").split(",")}
    return {part.strip() for part in wanted.replace(";", ",").split(",") if part} <= said


def what_came(recording: Recording) -> str:
    """What came in place of what was asked for; no sentence of its own."""
    if recording.failure:
        return recording.failure.rstrip(".")
    code = recording.refusal.get("code")
    named = f" ({code})" if isinstance(code, str) and len(code) <= 50 and code.isidentifier() else ""
    if recording.status != 200:
        return f"the answer was {recording.status}{named}"
    return {"late": "nothing came in time", "cut": "the connection was cut"}.get(recording.ending, "it was no probe")


def rounded(seconds: float) -> float:
    """Seconds for programs."""
    return round(seconds, 4)


def time_of(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    return f"{seconds:.1f} s".replace(".0 s", " s")
