"""What a request for a stream is refused for before anything is opened."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from domain.errors import StreamForgeError
from domain.streams import RETRY_AFTER, Ask, Order, Place
from services.access.running import RunningStreams
from services.accounts.budget import TokenBudget
from services.streams.production import Held
from services.streams.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may ask for, and for how long its headers wait for the model's first sign. Seconds."""

    max_streams: int
    max_message_chars: int
    commit_delay: float


class Door(Protocol):
    """Says whether the process still takes new streams."""

    @property
    def draining(self) -> bool: ...


class Admission:
    """Refuses what cannot be started now, or at all."""

    def __init__(
        self, limits: Limits, supervisor: Supervisor, door: Door, running: RunningStreams, budget: TokenBudget
    ) -> None:
        self._limits = limits
        self._running = running
        self._budget = budget
        self._supervisor = supervisor
        self._door = door

    def check(self, order: Order) -> None:
        """Raises `message_too_long`, `server_draining` or `too_many_streams`."""
        most = self._limits.max_message_chars
        for name, pointer, text in _written(order.ask, order.place):
            if len(text) > most:
                detail = f"The {name} has {len(text)} characters; this server takes at most {most}."
                raise StreamForgeError("message_too_long", detail, pointer=f"#/{pointer}")
        if self._door.draining:
            raise StreamForgeError("server_draining", retry_after=RETRY_AFTER)
        if self._supervisor.count >= self._limits.max_streams:
            raise StreamForgeError("too_many_streams", retry_after=RETRY_AFTER)

    async def hold(self, owner: str, tokens: int) -> Held:
        """Take a place for a stream of this owner, which may take so many tokens; raises `quota_exceeded`."""
        self._running.take(owner)
        try:
            return Held(self._running, owner, await self._budget.reserve(owner, tokens))
        except BaseException:
            self._running.give_back(owner)
            raise


def _written(ask: Ask, place: Place | None) -> Iterator[tuple[str, str, str]]:
    """What people have written, each with its name and its place in the body.

    An answer that a client sends back may be of any length.
    """
    if ask.dialogue is not None:
        for at, turn in enumerate(ask.dialogue):
            if turn.role in ("user", "system"):
                yield "message", f"messages/{at}/content", turn.text
        return
    yield "message", "message", ask.message
    yield "system", "system", ask.parameters.system or ""
    for earlier in place.earlier if place is not None else ():
        if earlier.role == "user":
            yield "message", "messages", earlier.text
