"""Idempotency keys: the same request with the same key is answered by one stream, however often it comes."""

from domain.callers import Caller
from domain.errors import StreamForgeError
from domain.streams import RETRY_AFTER, Order, StreamInfo, digest
from stores.streams.base import Claim, StreamLog, Tail


class Claims:
    """Which stream a key was used for, as the log knows it."""

    def __init__(self, streams: StreamLog) -> None:
        self._log = streams

    async def find(self, caller: Caller, order: Order) -> Tail | None:
        """The stream that the order's key was used for, if it was; `idempotency_mismatch` for another request."""
        if order.idempotency_key is None:
            return None
        bound = await self._log.claimed(caller.id, order.idempotency_key)
        tail = await self._log.find(bound.stream_id) if bound else None
        if bound is None or tail is None:
            return None
        if bound.digest != order.digest:
            raise StreamForgeError("idempotency_mismatch")
        return tail

    async def recall(self, order: Order, stream_id: str) -> Tail:
        """The stream that answers the same key in a session, when the log has forgotten that: the database has not."""
        tail = await self._log.find(stream_id)
        if tail is None:  # it can only be read where it is produced
            raise StreamForgeError("log_unavailable", retry_after=RETRY_AFTER)
        if tail.info.message_digest != digest(order.ask.message):  # of the rest nothing is known any more
            raise StreamForgeError("idempotency_mismatch")
        return tail

    async def claim(self, info: StreamInfo, order: Order) -> bool:
        """Whether the stream is the one of the order's key; the key of one that is gone is free."""
        if info.idempotency_key is None:
            return True
        claim = Claim(info.id, order.digest)
        bound = await self._log.claim_key(info.owner, info.idempotency_key, claim)
        return bound.stream_id == info.id
