"""The table of wires, and the contract that each of them keeps.

A wire is pure and synchronous: domain events in, whole blocks out.
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
        """The blocks of event number `seq`; empty where the wire does not show it."""


@dataclass(frozen=True, slots=True)
class Wire(Generic[E_contra]):
    """A way to write a stream.

    `stateful`: the encoder must be fed from event 1, and what it says up to the cursor is thrown away.
    `seq_after`: the event number that the wire's own count (`?after=`) stands for.
    `heartbeat`: what keeps a silent connection alive.
    `headers`: what the answer says of itself on this wire alone.
    """

    encoder: Callable[[str], Encoder[E_contra]]
    heartbeat: bytes
    stateful: bool
    seq_after: Callable[[int, Sequence[Event]], int]
    headers: tuple[tuple[bytes, bytes], ...] = ()


def _counted_in_events(after: int, _: Sequence[Event]) -> int:
    return after


AnyWire = Wire[Any]
"""The wire of a log whose kind has been looked at where it was found."""

WIRES: dict[Format, Wire[AnswerEvent]] = {
    "text": Wire(text.TextEncoder, text.HEARTBEAT, stateful=True, seq_after=text.seq_after),
    "events": Wire(events.EventsEncoder, events.HEARTBEAT, stateful=False, seq_after=_counted_in_events),
    "openai": Wire(openai.OpenAIEncoder, openai.HEARTBEAT, stateful=True, seq_after=_counted_in_events),
    "ai_sdk": Wire(
        ai_sdk.AiSdkEncoder, ai_sdk.HEARTBEAT, stateful=True, seq_after=_counted_in_events, headers=ai_sdk.HEADERS
    ),
    "ag_ui": Wire(ag_ui.AgUiEncoder, ag_ui.HEARTBEAT, stateful=True, seq_after=_counted_in_events),
}
