"""In which order a deployment is asked what."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cli.doctor import exchanges, findings
from cli.doctor.arrival import CannotCheckError, Start, start_of
from cli.doctor.finding import Finding
from cli.doctor.probing import BROWSERS, Line, Target, open_line
from cli.doctor.recordings import Recording

FRAMES = 20
INTERVAL = 0.1
CUT_AFTER = 3
PATIENCE = 1.5
"""Seconds to wait for the first frame of a probe that is to be hung up on; held back, it may never come."""
HANG_UP_SECONDS = 5.0
"""For which the server is asked whether it has seen the doctor hang up."""
ASK_EVERY = 0.4

__all__ = ["CannotCheckError", "examine"]


async def examine(target: Target, *, quick: bool) -> AsyncIterator[Finding]:
    """Each finding when it is there. The silence goes on beside the rest, and is told last."""
    async with open_line(target) as line:
        start = start_of(await line.probe({"frames": 1}, seconds=0), target.url)
        every = {"frames": FRAMES, "interval": INTERVAL}
        headers = {"idempotency-key": "doctor"}
        timed = await line.probe(every, seconds=FRAMES * INTERVAL, headers=headers)
        async with _silence(line, start, skip=quick) as silence:
            yield findings.first_byte(timed)
            yield findings.buffering(timed)
            opened, state, seconds = await _hang_up(line)
            yield findings.compression([timed, opened])
            yield findings.headers(timed)
            yield findings.http_version(timed, await line.offers_http2())
            yield exchanges.resume(*await _resume(line))
            yield exchanges.disconnect(opened, state, seconds, start.heartbeat)
            never_was = "0" * 32
            yield exchanges.chat(await line.resume_nothing(never_was), timed, with_key=target.key is not None)
            if silence is None:
                yield Finding("idle", "skipped", "Not looked at: --quick leaves the silence out.")
            else:
                yield exchanges.idle(await silence, start.heartbeat, start.silence)


@asynccontextmanager
async def _silence(line: Line, start: Start, *, skip: bool) -> AsyncIterator[asyncio.Task[Recording] | None]:
    """A silent probe that goes on meanwhile."""
    if skip:
        yield None
        return
    silent = asyncio.create_task(line.probe({"silent": True, "frames": 2, "interval": INTERVAL}, seconds=start.silence))
    try:
        yield silent
    finally:
        silent.cancel()


async def _hang_up(line: Line) -> tuple[Recording, str | None, float]:
    """Leave a probe that is silent: what came of it, what the server says of that, and how long after.

    While frames come, the next one that cannot be written tells the server. While a model thinks nothing comes.
    """
    probe = secrets.token_hex(16)
    opened = await line.probe(
        {"probe": probe, "frames": 2, "silent": True},
        seconds=0,
        patience=PATIENCE,
        enough=lambda recording: bool(recording.frames),
        encodings=BROWSERS,
    )
    left, state = time.monotonic(), None
    while opened.status == 200 or opened.ending == "late":
        answer = await line.state_of(probe)
        seconds = time.monotonic() - left
        state = answer.refusal.get("state", state)
        if state in ("left", "ended") or seconds > HANG_UP_SECONDS:
            return opened, state, seconds
        await asyncio.sleep(ASK_EVERY)
    return opened, None, 0.0


async def _resume(line: Line) -> tuple[Recording, Recording, Recording | None]:
    """Cut a probe and come back for the rest; where the header gets lost, with the cursor in the query."""
    probe = secrets.token_hex(16)
    what = {"probe": probe, "frames": 2 * CUT_AFTER, "interval": INTERVAL / 2}
    seconds = INTERVAL * CUT_AFTER
    cut = await line.probe(what, seconds=seconds, enough=lambda recording: len(recording.frames) >= CUT_AFTER)
    del cut.blocks[CUT_AFTER + 1 :]  # held back, more may have come at once
    cursor = f"{probe}-{len(cut.frames)}"
    back = await line.probe(what, seconds=seconds, headers={"last-event-id": cursor})
    if back.frames and back.frames[0].data["number"] != len(cut.frames) + 1:
        return cut, back, await line.probe({**what, "last_event_id": cursor}, seconds=seconds)
    return cut, back, None
