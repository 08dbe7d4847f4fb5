"""What the recordings of one probe mean: pure functions, each of which returns one finding."""

from itertools import pairwise

from cli.doctor.advice import advice, proxies_of
from cli.doctor.finding import EXPECTED, Finding, Measured, changed_headers, rounded, time_of
from cli.doctor.recordings import Block, Recording, printable

SLOW_SECONDS = 1.5
"""A first byte after this is late, over however long a distance."""
LUMPED = 0.4
"""The share of frames that may arrive together with the one before; one or two lost packets stay below it."""


def first_byte(timed: Recording) -> Finding:
    """How long a client waits for the first sign of an answer that the server begins immediately."""
    frames = timed.frames
    measured: Measured = {"headers": rounded(timed.opened), "frame": rounded(frames[0].at) if frames else None}
    if not frames:
        return Finding("first_byte", "unknown", "No frame arrived.", (), measured)
    said = f"The headers arrived after {time_of(timed.opened)}, the first frame after {time_of(frames[0].at)}"
    if frames[0].at <= SLOW_SECONDS:
        return Finding("first_byte", "well", f"{said}.", (), measured)
    if _held(frames)[0] > SLOW_SECONDS:
        return Finding("first_byte", "wrong", f"{said}: it was held back, see buffering.", (), measured)
    slow = "The delay is before the stream begins: look at DNS, TLS, a cold start, a queue before the server."
    return Finding("first_byte", "wrong", f"{said}.", (slow,), measured)


def buffering(timed: Recording) -> Finding:
    """Whether frames arrive one by one, as they were sent.

    Each has the server's time in it, which tells a slow connection (all are equally late) from a buffer.
    """
    frames = timed.frames
    if timed.ending != "whole" or len(frames) < 3:
        return _broken_off(timed)
    sent = (frames[-1].data["at"] - frames[0].data["at"]) / (len(frames) - 1)
    lumps = 1 + sum(not _together(*pair) for pair in pairwise(frames))
    held = max(_held(frames))
    measured: Measured = {"frames": len(frames), "lumps": lumps, "interval": rounded(sent), "held": rounded(held)}
    apart = f"{len(frames)} frames, sent {time_of(sent)} apart,"
    if len(frames) - lumps > LUMPED * (len(frames) - 1):
        arrived = "arrived all at once" if lumps == 1 else f"arrived in {lumps} lumps"
        said = f"{apart} {arrived}, held back for up to {time_of(held)}. Something on the way buffers them."
        return Finding("buffering", "wrong", said, advice("buffering", proxies_of(timed.headers)), measured)
    said = f"{apart} arrived one by one, none more than {time_of(max(held, 0.001))} later than the others."
    return Finding("buffering", "well", said, (), measured)


def _broken_off(timed: Recording) -> Finding:
    """Frames that did not all arrive."""
    measured: Measured = {"frames": len(timed.frames), "lumps": None, "interval": None, "held": None}
    if timed.ending == "late":
        said = f"Only {len(timed.frames)} frames arrived in {time_of(timed.ended)}. Something on the way buffers them."
        return Finding("buffering", "wrong", said, advice("buffering", proxies_of(timed.headers)), measured)
    said = f"The stream was cut off after {time_of(timed.ended)} and {len(timed.frames)} frames, before its end."
    whole = "Look for limits on how long a whole response may take, and on its size."
    return Finding("buffering", "wrong", said, (whole,), measured)


def compression(recordings: list[Recording]) -> Finding:
    """Whether any response is compressed: compressors wait for more data, and ignore no-transform."""
    found = sorted({recording.headers.get("content-encoding", "") for recording in recordings} - {"", "identity"})
    if not found:
        return Finding(
            "compression", "well", "None, although the doctor accepts it, like browsers.", (), {"encodings": []}
        )
    said = f"The stream is compressed ({', '.join(found)}) despite its no-transform: compressors hold words back."
    return Finding(
        "compression", "wrong", said, advice("compression", proxies_of(recordings[0].headers)), {"encodings": found}
    )


def headers(timed: Recording) -> Finding:
    """Whether the stream's headers reach the client unchanged, and the client's reach the server."""
    changed = changed_headers(timed)
    said = [f"{name} {_came_as(timed.headers.get(name.lower()))}: {EXPECTED[name][1]}." for name in changed]
    if "idempotency-key" not in (timed.start or {}).get("received", []):
        changed.append("Idempotency-Key")
        said.append("Idempotency-Key does not reach the server: a repeated request starts a second stream.")
    measured: Measured = {"changed": changed}
    if not changed:
        return Finding("headers", "well", "All headers that a stream sends and needs get through.", (), measured)
    return Finding("headers", "wrong", " ".join(said), advice("headers", proxies_of(timed.headers)), measured)


def http_version(timed: Recording, http2: bool | None) -> Finding:
    """Which versions of HTTP are used. HTTP/1.0 has no chunks, so a client cannot tell a complete stream from a cut
    one."""
    inner, outer = printable(str((timed.start or {}).get("http_version")), 10), timed.http_version.removeprefix("HTTP/")
    measured: Measured = {"client": outer, "server": inner, "http2_offered": http2}
    if "1.0" in (inner, outer):
        where = f"The server was called with HTTP/{inner}" if inner == "1.0" else "The response came with HTTP/1.0"
        said = f"{where}, which has no chunks: clients may take a stream that was cut off for a complete one."
        return Finding("http_version", "wrong", said, advice("http_version", proxies_of(timed.headers)), measured)
    said = f"The doctor speaks HTTP/{outer}; the server was called with HTTP/{inner}."
    if http2 is not None:
        said += (
            " Browsers are offered HTTP/2."
            if http2
            else " Browsers are not offered HTTP/2: each open stream takes one of their six connections."
        )
    return Finding("http_version", "well", said, (), measured)


def _held(frames: list[Block]) -> list[float]:
    """How long each frame was held back, relative to the fastest one, by the server's clock."""
    late = [frame.at - frame.data["at"] for frame in frames]
    return [each - min(late) for each in late]


def _together(one: Block, next_one: Block) -> bool:
    """Whether two frames that were sent apart arrived together."""
    return bool(next_one.at - one.at < (next_one.data["at"] - one.data["at"]) / 4)


def _came_as(value: str | None) -> str:
    return "is missing" if value is None else f"came as {value!a}"
