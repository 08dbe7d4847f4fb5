"""Streams are stopped: on request, with their session, or to make room in it."""

from collections.abc import Sequence

import structlog

from domain.errors import StreamForgeError
from services.streams.elsewhere import Keeper
from services.streams.first_sign import ends
from services.streams.supervisor import Supervisor
from stores.streams.base import StreamLog
from stores.streams.tail import Tail

log = structlog.get_logger("streams")

_STOP_SECONDS = 5.0  # that a stream has to end before another one takes its place in a session


class Stopping:
    """Stops streams, wherever they are produced."""

    def __init__(self, streams: StreamLog, supervisor: Supervisor, keeper: Keeper) -> None:
        self._log = streams
        self._supervisor = supervisor
        self._keeper = keeper

    async def cancel(self, tail: Tail) -> None:
        """Stop the model; a stream that has ended keeps its outcome."""
        await self._supervisor.cancel(tail, "requested")

    async def stop(self, stream_ids: Sequence[str]) -> None:
        """Stop streams whose session is gone; the caller has checked whose they are.

        A stream that cannot be reached now goes on, and what it says is not stored.
        """
        for stream_id in stream_ids:
            try:
                if tail := await self._log.find(stream_id):
                    await self.cancel(tail)
            except StreamForgeError as error:
                log.warning("a stream could not be stopped with its session", stream_id=stream_id, code=error.code)

    async def free_session(self, stream_id: str, *, stop: bool) -> bool:
        """Whether the stream no longer holds its session: it has ended, or `stop` is true and it could be stopped."""
        tail = await self._log.find(stream_id)
        if tail is None:
            return True
        if tail.ended and tail.outcome is not None:  # it holds the session only if its end could not be stored
            if not tail.understood:
                return False
            await self._keeper.save(tail, tail.outcome, None, None)
            return True
        if not stop:
            return False
        await self._supervisor.cancel(tail, "replaced")
        return await ends(tail, _STOP_SECONDS)
