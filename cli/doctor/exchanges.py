"""What the recordings of several requests, and of the silence, mean: pure functions, as in `findings`."""

from cli.doctor.advice import advice, proxies_of
from cli.doctor.finding import Finding, Measured, changed_headers, rounded, time_of, what_came
from cli.doctor.recordings import Recording


def resume(cut: Recording, back: Recording, by_query: Recording | None) -> Finding:
    """Whether a client that was cut off and reconnects with `Last-Event-ID` gets the frames that it has not had."""
    had, got = len(cut.frames), _first_number(back)
    measured: Measured = {"had": had, "went_on_with": got, "by_query": None}
    if not had:
        return Finding("resume", "unknown", "No frame arrived, so there was nothing to resume.", (), measured)
    if got == had + 1:
        return Finding("resume", "well", f"Cut after frame {had}, the stream resumed with frame {got}.", (), measured)
    if got is None:
        said = f"Cut after frame {had}, the doctor reconnected and got no frame: {what_came(back)}."
        return Finding("resume", "wrong", said, advice("resume", proxies_of(cut.headers)), measured)
    measured["by_query"] = by_query is not None and _first_number(by_query) == had + 1
    other = " The parameter ?last_event_id= gets through, and can be used until then." if measured["by_query"] else ""
    said = (
        f"Cut after frame {had}, the stream began again with frame {got}: Last-Event-ID does not reach the server, so "
        f"clients that reconnect read words twice.{other}"
    )
    return Finding("resume", "wrong", said, advice("resume", proxies_of(cut.headers)), measured)


def disconnect(opened: Recording, state: str | None, seconds: float, heartbeat: float) -> Finding:
    """Whether the server notices that a client hung up. `state` is the probe's, or `None` if it could not be asked."""
    measured: Measured = {"state": state, "seconds": rounded(seconds)}
    if state == "left":
        said = f"The server noticed within {time_of(seconds)} that the doctor hung up during a silence."
        return Finding("disconnect", "well", said, (), measured)
    if state is not None:
        said = (
            f"The doctor hung up during a silence {time_of(seconds)} ago, and the server has not noticed: a model "
            f"whose client is gone works until the next word or heartbeat (every {time_of(heartbeat)}) is sent."
        )
        return Finding("disconnect", "wrong", said, advice("disconnect", proxies_of(opened.headers)), measured)
    said = "The server that sent the probe could not be asked: there are several, and others answered."
    if opened.status not in (0, 200):
        said = f"The probe was not sent: {what_came(opened)}."
    return Finding("disconnect", "unknown", said, (), measured)


def chat(asked: Recording, timed: Recording, *, with_key: bool) -> Finding:
    """Whether `POST /chat` itself is passed on like the probes, of which `timed` is one."""
    measured: Measured = {"status": asked.status}
    code = asked.refusal.get("code")
    if code in ("unauthenticated", "insufficient_scope"):
        if with_key:
            said = f"POST /chat reaches the server, which refuses the key in STREAMFORGE_KEY ({code})."
            return Finding("chat", "unknown", said, (), measured)
        said = "POST /chat reaches the server, which requires a key. Set STREAMFORGE_KEY to check the stream as well."
        return Finding("chat", "skipped", said, (), measured)
    proxies = proxies_of(asked.headers)
    if asked.status != 200:
        return Finding("chat", "wrong", f"POST /chat: {what_came(asked)}.", advice("chat", ()), measured)
    if any(block.event != "error" for block in asked.blocks):
        said = "POST /chat with Last-Event-ID began a new answer: the header does not reach the server there."
        return Finding("chat", "wrong", said, advice("resume", proxies), measured)
    more = [name for name in changed_headers(asked) if name not in changed_headers(timed)]
    if "content-encoding" in asked.headers and "content-encoding" not in timed.headers:
        more.append("Content-Encoding")
    measured["changed"] = list(more)
    if more:
        said = f"POST /chat is handled differently from the probes: its stream has a different {', '.join(more)}."
        return Finding("chat", "wrong", said, advice("chat", ()), measured)
    return Finding("chat", "well", "POST /chat is passed on, and its stream arrives as the probes do.", (), measured)


def idle(silent: Recording, heartbeat: float, silence: float) -> Finding:
    """Whether a connection survives the longest silence of a stream, and heartbeats get through."""
    measured: Measured = {"heartbeat": heartbeat, "silence": rounded(silence), "cut_after": None}
    proxies = proxies_of(silent.headers)
    if silent.ending == "whole" and silent.all("done"):
        if not silent.beats:
            said = (
                "The connection survived the silence, but the heartbeat (a comment line) was removed from the stream."
            )
            return Finding("idle", "wrong", said, advice("headers", ())[-1:], measured)
        if heartbeat > silence:
            said = (
                f"STREAM_HEARTBEAT is {time_of(heartbeat)}, and the doctor waits for {time_of(silence)} at most: set "
                "it to less than 60 s, after which many proxies end a silent connection."
            )
            return Finding("idle", "unknown", said, (), measured)
        said = f"The connection survived {time_of(silence)} of silence; heartbeats, every {time_of(heartbeat)}, arrive."
        return Finding("idle", "well", said, (), measured)
    if silent.failure and not silent.status:
        return Finding("idle", "unknown", f"The probe was not answered: {silent.failure}", (), measured)
    if silent.status not in (200, 502, 504):
        return Finding("idle", "unknown", f"The probe was not sent: {what_came(silent)}.", (), measured)
    return _cut_in_silence(silent, heartbeat, measured, proxies)


def _cut_in_silence(silent: Recording, heartbeat: float, measured: Measured, proxies: tuple[str, ...]) -> Finding:
    if silent.ending == "late":
        said = "After the silence nothing arrived, and the connection was not closed: a proxy or firewall dropped it."
    else:
        quiet = silent.ended - (silent.last_arrival if silent.status == 200 else 0.0)
        measured["cut_after"] = rounded(quiet)
        said = (
            f"The connection was cut after {time_of(quiet)} of silence, and a stream is silent for up to "
            f"{time_of(heartbeat)} (STREAM_HEARTBEAT): slow answers are cut off."
        )
    above = f"{max(60, round(heartbeat * 2))}s"
    lower = "Or set STREAM_HEARTBEAT well below that, on the server."
    return Finding("idle", "wrong", said, (*advice("idle", proxies, above=above), lower), measured)


def _first_number(recording: Recording) -> int | None:
    frames = recording.frames
    return int(frames[0].data["number"]) if frames else None
