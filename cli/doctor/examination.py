"""The order of the checks."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cli.doctor import exchanges, findings
from cli.doctor.arrival import CannotCheckError, Start, start_of
from cli.doctor.finding import Finding
from cli.doctor.probing import BROWSERS, ProbeClient, Target, open_client
from cli.doctor.recordings import Recording

FRAMES = 20
INTERVAL = 0.1
CUT_AFTER = 3
PATIENCE = 1.5
"""Seconds to wait for the first frame of a probe to hang up on; if it is buffered, it may never come."""
HANG_UP_SECONDS = 5.0
"""Seconds during which the server is asked whether it has noticed that the doctor hung up."""
ASK_EVERY = 0.4

__all__ = ["CannotCheckError", "examine"]


async def examine(target: Target, *, quick: bool) -> AsyncIterator[Finding]:
    """Yields each finding as soon as it is known. The silence runs alongside the other checks, and comes last."""
    async with open_client(target) as client:
        start = start_of(await client.probe({"frames": 1}, seconds=0), target.url)
        every = {"frames": FRAMES, "interval": INTERVAL}
        headers = {"idempotency-key": "doctor"}
        timed = await client.probe(every, seconds=FRAMES * INTERVAL, headers=headers)
        async with _silence(client, start, skip=quick) as silence:
            yield findings.first_byte(timed)
            yield findings.buffering(timed)
            opened, state, seconds = await _hang_up(client)
            yield findings.compression([timed, opened])
            yield findings.headers(timed)
            yield findings.http_version(timed, await client.offers_http2())
            yield exchanges.resume(*await _resume(client))
            yield exchanges.disconnect(opened, state, seconds, start.heartbeat)
            never_was = "0" * 32
            yield exchanges.chat(await client.resume_nothing(never_was), timed, with_key=target.key is not None)
            if silence is None:
                yield Finding("idle", "skipped", "Not checked: --quick leaves the silence out.")
            else:
                yield exchanges.idle(await silence, start.heartbeat, start.silence)


@asynccontextmanager
async def _silence(client: ProbeClient, start: Start, *, skip: bool) -> AsyncIterator[asyncio.Task[Recording] | None]:
    """A silent probe that runs meanwhile; `None` if it is to be skipped."""
    if skip:
        yield None
        return
    silent = asyncio.create_task(
        client.probe({"silent": True, "frames": 2, "interval": INTERVAL}, seconds=start.silence)
    )
    try:
        yield silent
    finally:
        silent.cancel()


async def _hang_up(client: ProbeClient) -> tuple[Recording, str | None, float]:
    """Hang up on a silent probe; returns its recording, its state on the server, and the seconds until that was known.

    While frames are sent, the next one that cannot be written tells the server. While a model thinks, none is sent.
    """
    probe = secrets.token_hex(16)
    opened = await client.probe(
        {"probe": probe, "frames": 2, "silent": True},
        seconds=0,
        patience=PATIENCE,
        enough=lambda recording: bool(recording.frames),
        encodings=BROWSERS,
    )
    left, state = time.monotonic(), None
    while opened.status == 200 or opened.ending == "late":
        answer = await client.state_of(probe)
        seconds = time.monotonic() - left
        state = answer.refusal.get("state", state)
        if state in ("left", "ended") or seconds > HANG_UP_SECONDS:
            return opened, state, seconds
        await asyncio.sleep(ASK_EVERY)
    return opened, None, 0.0


async def _resume(client: ProbeClient) -> tuple[Recording, Recording, Recording | None]:
    """Cut a probe and resume it; if the header does not get through, also with the cursor in the query."""
    probe = secrets.token_hex(16)
    what = {"probe": probe, "frames": 2 * CUT_AFTER, "interval": INTERVAL / 2}
    seconds = INTERVAL * CUT_AFTER
    cut = await client.probe(what, seconds=seconds, enough=lambda recording: len(recording.frames) >= CUT_AFTER)
    del cut.blocks[CUT_AFTER + 1 :]  # more may have arrived at once if they were buffered
    cursor = f"{probe}-{len(cut.frames)}"
    back = await client.probe(what, seconds=seconds, headers={"last-event-id": cursor})
    if back.frames and back.frames[0].data["number"] != len(cut.frames) + 1:
        return cut, back, await client.probe({**what, "last_event_id": cursor}, seconds=seconds)
    return cut, back, None
