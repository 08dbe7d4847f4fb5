"""Encodes events and stream infos as JSON for a log outside this process, and decodes them without trusting them.

An event is written as its *kind*, which names its class, and the JSON object of its fields. Things that only a newer
version knows are read as far as possible: an unknown kind becomes `Unknown`, and an unknown code, phase or reason stays
the word that it is. Anything else that this version would not write is `Unreadable`, so that an intruder who can write
to the log can make reading stop, and nothing more.
"""

import json
import re
from dataclasses import MISSING, fields, is_dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from domain import events as on
from domain.streams import ANSWER, INGESTION, StreamInfo
from domain.text import UNWRITABLE

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_KINDS: Final[dict[type[on.Event], bytes]] = {
    on.Delta: b"delta",
    on.Reasoning: b"reasoning",
    on.ToolCall: b"tool_call",
    on.Started: b"started",
    on.Retrieving: b"retrieving",
    on.Quoted: b"quoted",
    on.Progress: b"progress",
    on.Stalled: b"stalled",
    on.Retrying: b"retrying",
    on.Switched: b"switched",
    on.Done: b"done",
    on.Failed: b"failed",
    on.Cancelled: b"cancelled",
}
_CLASSES = {kind: cls for cls, kind in _KINDS.items()}
_WHOLE: Final = frozenset((on.Delta, on.Reasoning, on.ToolCall))
"""The classes that have no fields with defaults."""
_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_STREAM_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_DIGEST_BYTES = 32
_adapters: "dict[type[Any], TypeAdapter[Any]]" = {}  # each is made on first use


class Unreadable(Exception):  # noqa: N818 - the name describes the data
    """The data is not something that this program writes."""


class Newer(Unreadable):
    """A newer version wrote the data, and reading cannot go on without understanding it."""


def encode(event: on.Event) -> tuple[bytes, bytes]:
    """The event's kind and its fields."""
    cls = type(event)
    if cls in _WHOLE:  # nearly every event
        return _KINDS[cls], orjson.dumps(event)
    return _KINDS[cls], _dumps(event)


def decode(kind: bytes, fields: bytes) -> on.Event:
    """The event; raises `Unreadable`."""
    cls = _CLASSES.get(kind)
    if cls is None:
        return _unknown(kind, fields)
    event: on.Event = _read(cls, fields)
    text, word = _inside(event)
    if UNWRITABLE.search(text):
        raise Unreadable("a text with NUL or a lone surrogate")
    if not _WORD.fullmatch(word):
        raise Unreadable("an invalid code, phase or reason")
    return event


def encode_outcome(outcome: on.Terminal) -> bytes:
    """A terminal event in one piece."""
    kind, fields = encode(outcome)
    return kind + b" " + fields


def decode_outcome(found: bytes) -> on.Terminal | None:
    """The terminal event, `None` if `found` is empty; raises `Unreadable`, and `Newer` for an unknown kind of end."""
    if not found:
        return None
    kind, _, fields = found.partition(b" ")
    event = decode(kind, fields)
    if isinstance(event, on.Unknown):
        raise Newer("an outcome of an unknown kind")
    if not isinstance(event, on.Done | on.Failed | on.Cancelled):
        raise Unreadable("an outcome that is not a terminal event")
    return event


def encode_info(info: StreamInfo) -> bytes:
    """The stream's info as JSON."""
    return _dumps(info)


def decode_info(found: bytes, stream_id: str) -> StreamInfo:
    """The stream's info; raises `Unreadable`, also if it belongs to another stream."""
    info: StreamInfo = _read(StreamInfo, found)
    try:
        digest = bytes.fromhex(info.message_digest.decode())
    except ValueError as error:
        raise Unreadable("a message digest that is not hexadecimal") from error
    if info.id != stream_id or not _STREAM_ID.fullmatch(info.id) or len(digest) != _DIGEST_BYTES:
        raise Unreadable("the info of another stream, or a digest of the wrong length")
    if not _WORD.fullmatch(info.kind):
        raise Unreadable("an invalid kind of stream")
    # Older versions wrote no kind, and recognised an ingestion by its empty model.
    kind = INGESTION if info.kind == ANSWER and not info.model else info.kind
    return replace(info, message_digest=digest, kind=kind)


def _inside(event: on.Event) -> tuple[str, str]:
    """The event's free text, joined, and its code, phase or reason; raises `Unreadable` if a part is missing."""
    text, word = "", "none"
    match event:
        case on.Delta(text) | on.Reasoning(text):
            if not text:
                raise Unreadable("an empty text")
        case on.ToolCall(call, name, arguments):
            if not call or name == "":
                raise Unreadable("a tool call without an id, or with an empty name")
            text = f"{call}{name}{arguments}"
        case on.Quoted():
            text = f"{event.id}{event.title}{event.heading}{event.text}"
        case on.Retrying(word) | on.Switched(reason=word) | on.Progress(word):
            pass
        case on.Done(word) | on.Failed(word) | on.Cancelled(word):
            pass
    return text, word


def _unknown(kind: bytes, fields: bytes) -> on.Unknown:
    """An event that a newer version wrote; raises `Unreadable` unless it has a valid name and a JSON object."""
    try:
        name, found = kind.decode("ascii"), orjson.loads(fields)
        text = json.dumps(found, separators=(",", ":"))
    except (ValueError, RecursionError) as error:
        raise Unreadable("an invalid event") from error
    if not _WORD.fullmatch(name) or not isinstance(found, dict):
        raise Unreadable("an invalid event")
    return on.Unknown(name, text)


def _dumps(value: object) -> bytes:
    """JSON without the fields that have their defaults, so that older processes see only the fields that are used."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def _plain(value: Any) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if not is_dataclass(value):
        return str(value)  # amounts of money are decimal
    cls: Any = type(value)
    found = {name: (getattr(value, name), default) for name, default in _defaults(cls)}
    return {name: field for name, (field, default) in found.items() if default is MISSING or field != default}


@cache
def _defaults(cls: Any) -> list[tuple[str, object]]:
    return [(field.name, field.default) for field in fields(cls)]


def _read(cls: type[Any], fields: bytes) -> Any:
    adapter = _adapters.get(cls)
    if adapter is None:
        from pydantic import TypeAdapter

        adapter = _adapters[cls] = TypeAdapter(cls)
    try:
        return adapter.validate_json(fields, strict=True)
    except ValueError as error:  # its message would quote the data
        raise Unreadable(f"an invalid {cls.__name__}") from error
