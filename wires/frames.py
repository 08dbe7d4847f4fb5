"""The format of blocks that all event-stream wires share.

Blocks follow the event stream format of the WHATWG HTML standard, section "Server-sent events". What it leaves open is
fixed here: LF only; the fields `event`, `data`, `retry`, `id` in this order (some clients store an id as soon as they
read its line, and must have read the rest by then); never a block without data.
"""

import json
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as quote
from typing import assert_never

from domain.errors import error_kind
from domain.events import Cancelled, Failed, Retrieving, Retrying, Stalled, Status, Switched
from domain.usage import account

__all__ = ["block", "ending", "failure", "frame", "present", "progress", "quote"]


def frame(event: str, data: Mapping[str, object], event_id: str | None = None, *, retry: int | None = None) -> bytes:
    """One whole block: a name, JSON data, an optional id, and optionally how long to wait before reconnecting, in ms.

    The JSON is one line of ASCII, so a client cannot misread a line end, a BOM or half a character.
    """
    wait = f"retry: {retry}\n" if retry is not None else ""
    tail = f"id: {event_id}\n" if event_id else ""
    return f"event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n{wait}{tail}\n".encode("ascii")


def block(part: Mapping[str, object]) -> bytes:
    """One whole block with JSON data only, for the wires that put the name of an event into its data."""
    return f"data: {json.dumps(part, separators=(',', ':'))}\n\n".encode("ascii")


def progress(event: Status) -> dict[str, object]:
    """A status on the way to an answer as JSON, the same on all wires that show it."""
    match event:
        case Retrieving(question):
            return present(phase="retrieving", question=question)
        case Stalled(seconds):
            return {"phase": "stalled", "seconds": seconds}
        case Retrying(reason, attempt, delay):
            return {"phase": "retrying", "reason": reason, "attempt": attempt, "delay": delay}
        case Switched(from_model, to_model, reason):
            return {"phase": "model_switched", "from": from_model, "to": to_model, "reason": reason}
        case _:
            assert_never(event)


def present(**fields: object) -> dict[str, object]:
    """The fields that are not `None`."""
    return {name: value for name, value in fields.items() if value is not None}


def ending(event: Failed | Cancelled) -> tuple[str, dict[str, object]]:
    """The name and the data of the event with which the native wires end an incomplete answer."""
    if isinstance(event, Cancelled):
        return "cancelled", {"reason": event.reason, **account(event.spent)}
    wait = {"retry_after": event.retry_after} if event.retry_after is not None else {}
    return "error", {**failure(event.code), **wait, **account(event.spent)}


def failure(code: str) -> dict[str, object]:
    """The table's row of an error code as JSON, for the native wires."""
    kind = error_kind(code)
    return {"code": code, "message": kind.message, "retryable": kind.retryable, "status": kind.status}
