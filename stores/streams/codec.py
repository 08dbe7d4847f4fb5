"""Events, and what is fixed of a stream, as JSON for a log outside this process; and back, trusting nothing.

An event is a *kind*, which names its class, and the JSON object of its fields. Whatever does not read as exactly
that is `Unreadable`: who can write to the log can end a reading, and do nothing else.
"""

import re
from dataclasses import MISSING, fields, is_dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from domain.errors import ERRORS
from domain.events import (
    UNWRITABLE,
    Cancelled,
    Delta,
    Done,
    Event,
    Failed,
    Progress,
    Quoted,
    Reasoning,
    Retrieving,
    Retrying,
    Stalled,
    Started,
    Switched,
    Terminal,
    ToolCall,
)
from domain.streams import StreamInfo

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_KINDS: Final[dict[type[Event], bytes]] = {
    Delta: b"delta",
    Reasoning: b"reasoning",
    ToolCall: b"tool_call",
    Started: b"started",
    Retrieving: b"retrieving",
    Quoted: b"quoted",
    Progress: b"progress",
    Stalled: b"stalled",
    Retrying: b"retrying",
    Switched: b"switched",
    Done: b"done",
    Failed: b"failed",
    Cancelled: b"cancelled",
}
_CLASSES = {kind: cls for cls, kind in _KINDS.items()}
_WHOLE: Final = frozenset((Delta, Reasoning, ToolCall))
"""Classes without defaults."""
_STREAM_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_DIGEST_BYTES = 32
_adapters: "dict[type[Any], TypeAdapter[Any]]" = {}  # made when they are first needed


class Unreadable(Exception):  # noqa: N818 - said of what was found
    """This was not written by us."""


def encode(event: Event) -> tuple[bytes, bytes]:
    """The event's kind and its fields."""
    cls = type(event)
    if cls in _WHOLE:  # nearly every event
        return _KINDS[cls], orjson.dumps(event)
    return _KINDS[cls], _dumps(event)


def decode(kind: bytes, fields: bytes) -> Event:
    """The event, or `Unreadable`."""
    cls = _CLASSES.get(kind)
    if cls is None:
        raise Unreadable("an event of an unknown kind")
    event: Event = _read(cls, fields)
    if isinstance(event, Delta | Reasoning) and (not event.text or UNWRITABLE.search(event.text)):
        raise Unreadable("a text that no model's answer can hold")
    if isinstance(event, ToolCall) and (
        not event.id or event.name == "" or UNWRITABLE.search(f"{event.id}{event.name}{event.arguments}")
    ):
        raise Unreadable("a call that no model can have made")
    if isinstance(event, Quoted) and UNWRITABLE.search(f"{event.id}{event.title}{event.heading}{event.text}"):
        raise Unreadable("a passage that no document can hold")
    if isinstance(event, Failed) and event.code not in ERRORS:
        raise Unreadable("an error of an unknown code")
    return event


def encode_outcome(outcome: Terminal) -> bytes:
    """A terminal event in one piece."""
    kind, fields = encode(outcome)
    return kind + b" " + fields


def decode_outcome(found: bytes) -> Terminal | None:
    """The terminal event, `None` for nothing at all, or `Unreadable`."""
    if not found:
        return None
    kind, _, fields = found.partition(b" ")
    event = decode(kind, fields)
    if not isinstance(event, Done | Failed | Cancelled):
        raise Unreadable("an outcome that is none")
    return event


def encode_info(info: StreamInfo) -> bytes:
    """What was fixed when the stream was started."""
    return _dumps(info)


def decode_info(found: bytes, stream_id: str) -> StreamInfo:
    """The same, which must be that of this stream; or `Unreadable`."""
    info: StreamInfo = _read(StreamInfo, found)
    try:
        digest = bytes.fromhex(info.message_digest.decode())
    except ValueError as error:
        raise Unreadable("a message's digest that is no hexadecimal number") from error
    if info.id != stream_id or not _STREAM_ID.fullmatch(info.id) or len(digest) != _DIGEST_BYTES:
        raise Unreadable("a stream's beginning that is another's")
    return replace(info, message_digest=digest)


def _dumps(value: object) -> bytes:
    """JSON without the fields that have their defaults: what a process does not use, older ones need not know."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def _plain(value: Any) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if not is_dataclass(value):
        return str(value)  # amounts of money are decimal
    found = {name: (getattr(value, name), default) for name, default in _defaults(type(value))}
    return {name: field for name, (field, default) in found.items() if default is MISSING or field != default}


@cache
def _defaults(cls: type[Any]) -> list[tuple[str, object]]:
    return [(field.name, field.default) for field in fields(cls)]


def _read(cls: type[Any], fields: bytes) -> Any:
    adapter = _adapters.get(cls)
    if adapter is None:
        from pydantic import TypeAdapter

        adapter = _adapters[cls] = TypeAdapter(cls)
    try:
        return adapter.validate_json(fields, strict=True)
    except ValueError as error:  # its message would quote what it found
        raise Unreadable(f"no {cls.__name__}") from error
