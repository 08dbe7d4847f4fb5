"""The grammar that all event-stream wires share.

Blocks follow the event stream format of the WHATWG HTML standard, section "Server-sent events", with one
spelling of what it leaves free: LF only, the fields `event`, `data`, `retry`, `id` in this order (a client that
commits an id when it reads the line must have read the rest by then), never a block without data.
"""

import json
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as quote

from domain.errors import ERRORS
from domain.events import Cancelled, Failed
from domain.usage import Cost, Spent, Usage

__all__ = ["account", "ending", "failure", "frame", "quote"]


def frame(event: str, data: Mapping[str, object], event_id: str | None = None, *, retry: int | None = None) -> bytes:
    """One whole block with a name, JSON data and, where given, milliseconds to wait before coming back and an id.

    The JSON is one line of ASCII: no line end, BOM or half a character to misread.
    """
    wait = f"retry: {retry}\n" if retry is not None else ""
    tail = f"id: {event_id}\n" if event_id else ""
    return f"event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n{wait}{tail}\n".encode("ascii")


def account(spent: Spent) -> dict[str, object]:
    """What a stream took, as every wire of ours shows it: `usage`, `cost`, and `attempts` where there were several."""
    shown: dict[str, object] = {"usage": _usage(spent.usage), "cost": _cost(spent.cost)}
    if spent.attempts:
        shown["attempts"] = [
            {
                "model": attempt.model,
                "usage": _usage(attempt.usage),
                "cost": _cost(attempt.cost),
                **({"error": attempt.error} if attempt.error else {}),
            }
            for attempt in spent.attempts
        ]
    return shown


def _usage(value: Usage) -> dict[str, object]:
    shown: dict[str, object] = {
        "input_tokens": value.input_tokens,
        "output_tokens": value.output_tokens,
        "exact": value.exact,
    }
    if value.cached_tokens is not None:
        shown["cached_tokens"] = value.cached_tokens
    if value.reasoning_tokens is not None:
        shown["reasoning_tokens"] = value.reasoning_tokens
    return shown


def _cost(value: Cost | None) -> dict[str, object] | None:
    """JSON knows one kind of number; amounts are far from its limits."""
    if value is None:
        return None
    return {"amount": float(value.amount), "currency": value.currency, "source": value.source}


def ending(event: Failed | Cancelled) -> tuple[str, dict[str, object]]:
    """The name and the data with which the native wires tell that the answer is not whole."""
    if isinstance(event, Cancelled):
        return "cancelled", {"reason": event.reason, **account(event.spent)}
    wait = {"retry_after": event.retry_after} if event.retry_after is not None else {}
    return "error", {**failure(event.code), **wait, **account(event.spent)}


def failure(code: str) -> dict[str, object]:
    """A code of the table as the native wires show it."""
    kind = ERRORS[code]
    return {"code": code, "message": kind.message, "retryable": kind.retryable, "status": kind.status}
