"""Ends the streams of other processes: one that is cancelled from here, and one whose process is gone.

A living producer is asked first: it knows what was used, and can announce the end itself. If it stays silent, this
process claims the stream and concludes it.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from domain.events import Cancelled, CancelReason, Failed, Terminal
from domain.streams import ANSWER, deltas
from domain.usage import Spent
from services.background import Tasks
from services.observing.observer import Ended
from services.streams.first_sign import ends
from stores.streams.base import Fenced, Peers, StreamLog
from stores.streams.tail import Tail

log = structlog.get_logger("streams")

_ANNOUNCE_SECONDS = 2.0  # that a producer has to announce the end that was sealed for it

Estimate = Callable[[Tail], Awaitable[Spent]]
"""Estimates from the log what a stream of another process has used."""

Settle = Callable[[Ended], Awaitable[None]]
"""Does what is due once after a stream's end."""


class Keeper(Protocol):
    """Stores the answers in sessions."""

    async def save(self, tail: Tail, sealed: Terminal, first_word_ms: int | None, total_ms: int | None) -> Terminal:
        """Store the answer with its outcome; may be repeated. Returns the outcome to announce: another if it failed."""


class Elsewhere:
    """Ends streams that this process did not start."""

    def __init__(
        self, streams: StreamLog, peers: Peers, keeper: Keeper, estimate: Estimate, settle: Settle, tasks: Tasks
    ) -> None:
        self._log = streams
        self._peers = peers
        self._keeper = keeper
        self._estimate = estimate
        self._settle = settle
        self._tasks = tasks

    async def cancel(self, tail: Tail, reason: CancelReason) -> None:
        """Fix the outcome. The announcement is waited for in the background."""
        await self._log.seal(tail, Cancelled(reason, await self._estimate(tail)))
        self._tasks.start(self._see_announced(tail), "ending")

    def bury(self, tail: Tail) -> None:
        """End a stream whose process is gone, in the background. This process has claimed it."""
        self._tasks.start(self._bury(tail), "ending")

    async def _see_announced(self, tail: Tail) -> None:
        if await self._peers.claim(tail) or (
            not await ends(tail, _ANNOUNCE_SECONDS) and await self._peers.claim(tail, force=True)
        ):
            await self._bury(tail)

    async def _bury(self, tail: Tail) -> None:
        info = tail.info
        try:
            sealed = await self._log.seal(tail, Failed("producer_lost", await self._estimate(tail)))
            final = await self._keeper.save(tail, sealed, None, None) if info.message_id else sealed
            await self._log.announce(tail, final)
        except Fenced:  # another process buries it
            return
        log.warning("a stream was ended for a process that is gone", stream_id=info.id)
        if info.kind == ANSWER:
            await self._settle(Ended(info, final, deltas(tail.events)))
