"""The table of wires, and the interface that each of them implements.

A wire is pure and synchronous: it takes domain events and returns whole blocks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from domain.events import AnswerEvent, Event, IngestionEvent
from wires import ag_ui, ai_sdk, events, openai, text

Format = Literal["text", "events", "openai", "ai_sdk", "ag_ui"]


E_contra = TypeVar("E_contra", AnswerEvent, IngestionEvent, contravariant=True)


class Encoder(Protocol[E_contra]):
    """Turns the events of one stream into blocks; each reader has its own."""

    def encode(self, seq: int, event: E_contra) -> bytes:
        """The blocks of event number `seq`; empty if the wire does not show it."""


@dataclass(frozen=True, slots=True)
class Wire(Generic[E_contra]):
    """A format for writing a stream.

    `encoder`: makes the encoder of one stream, from its id.
    `heartbeat`: the bytes that keep a silent connection alive.
    `stateful`: whether the encoder must be fed from event 1, its output up to the cursor being discarded.
    `seq_after`: turns the wire's own cursor (`?after=`) into an event number.
    `headers`: response headers that only this wire has.
    """

    encoder: Callable[[str], Encoder[E_contra]]
    heartbeat: bytes
    stateful: bool
    seq_after: Callable[[int, Sequence[Event]], int]
    headers: tuple[tuple[bytes, bytes], ...] = ()


def _counted_in_events(after: int, _: Sequence[Event]) -> int:
    return after


AnyWire = Wire[Any]
"""A wire of either kind, for code that has already checked the kind of its log."""

WIRES: dict[Format, Wire[AnswerEvent]] = {
    "text": Wire(text.TextEncoder, text.HEARTBEAT, stateful=True, seq_after=text.seq_after),
    "events": Wire(events.EventsEncoder, events.HEARTBEAT, stateful=False, seq_after=_counted_in_events),
    "openai": Wire(openai.OpenAIEncoder, openai.HEARTBEAT, stateful=True, seq_after=_counted_in_events),
    "ai_sdk": Wire(
        ai_sdk.AiSdkEncoder, ai_sdk.HEARTBEAT, stateful=True, seq_after=_counted_in_events, headers=ai_sdk.HEADERS
    ),
    "ag_ui": Wire(ag_ui.AgUiEncoder, ag_ui.HEARTBEAT, stateful=True, seq_after=_counted_in_events),
}
