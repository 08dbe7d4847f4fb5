"""Idempotency keys: requests with the same key and the same body share one stream."""

from domain.callers import Caller
from domain.errors import StreamForgeError
from domain.streams import RETRY_AFTER, Order, StreamInfo, digest
from stores.streams.base import Binding, StreamLog
from stores.streams.tail import Tail


class IdempotencyKeys:
    """Knows from the log which stream a key is bound to."""

    def __init__(self, streams: StreamLog) -> None:
        self._log = streams
        self._keys = streams.keys

    async def find(self, caller: Caller, order: Order) -> Tail | None:
        """The stream that the order's key is bound to, if any.

        Raises `idempotency_mismatch` for another request, and `idempotency_gone` if the stream's log had to be deleted
        early: the request was answered once, and is not answered a second time.
        """
        if order.idempotency_key is None:
            return None
        bound = await self._keys.find(caller.id, order.idempotency_key)
        while bound is not None:
            tail = await self._log.find(bound.stream_id)
            if tail is None and (standing := await self._keys.find(caller.id, order.idempotency_key)) != bound:
                bound = standing  # its stream was refused a moment ago, or its time was over
                continue
            if bound.digest != order.digest:
                raise StreamForgeError("idempotency_mismatch")
            if tail is None:
                raise StreamForgeError("idempotency_gone")
            return tail
        return None

    async def in_session(self, order: Order, stream_id: str) -> Tail:
        """The stream that the database has for the order's key, when the log has forgotten the key.

        Raises `idempotency_mismatch` for another message, and `log_unavailable` if the stream cannot be read here.
        """
        tail = await self._log.find(stream_id)
        if tail is None:  # it can be read only in the process that produces it
            raise StreamForgeError("log_unavailable", retry_after=RETRY_AFTER)
        if tail.info.message_digest != digest(order.ask.message):  # only the message's digest is stored
            raise StreamForgeError("idempotency_mismatch")
        return tail

    async def bind(self, info: StreamInfo, order: Order) -> bool:
        """Bind the order's key, if any, to the stream; false if another stream that still exists has it."""
        if info.idempotency_key is None:
            return True
        bound = await self._keys.bind(info.owner, info.idempotency_key, Binding(info.id, order.digest))
        return bound.stream_id == info.id
