"""From an order to its stream: found by the idempotency key, or opened, placed in a session, and begun."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from time import time
from typing import Protocol

from structlog.contextvars import bind_contextvars

from domain.callers import Caller
from domain.catalogue import ModelEntry
from domain.errors import StreamForgeError
from domain.messages import Busy, KeyInUse, new_id
from domain.streams import Ask, Order, Place, StreamInfo, digest, new_stream_id, refusal
from services.accounts.metering import Meter, prompt_tokens
from services.accounts.prices import Prices
from services.answering.answerer import Answerer, Run
from services.models.model_service import ModelService
from services.observing.observer import Observer
from services.streams.admission import Admission
from services.streams.first_sign import FirstSign
from services.streams.idempotency import IdempotencyKeys
from services.streams.stopping import Stopping
from services.streams.supervisor import Supervisor
from stores.streams.base import StreamLog
from stores.streams.tail import Tail

_TRIES_WHILE_BUSY = 5


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream to follow. `replayed` says that an earlier request with the same key started it."""

    tail: Tail
    replayed: bool = False


class Places(Protocol):
    """Gives streams their places in sessions."""

    async def begin(self, info: StreamInfo, place: Place, ask: Ask, candidates: Sequence[ModelEntry]) -> Ask:
        """Take the stream's place; returns what to ask the model. Raises `Busy` and `KeyInUse`, among others."""

    async def withdraw(self, info: StreamInfo, *, opened: bool) -> None:
        """Give the place back; with the session, if that was `opened` for this stream."""


class Preparation(Protocol):
    """Looks at an order before its stream is opened."""

    async def prepare(self, owner: str, order: Order, candidates: Sequence[ModelEntry]) -> Order:
        """The order, with everything that it leaves open filled in; raises an error for what cannot be done."""


class Starting:
    """Starts streams. Headers wait `commit_delay` seconds for a first sign of the model."""

    def __init__(
        self,
        streams: StreamLog,
        admission: Admission,
        models: ModelService,
        preparation: Preparation,
        answerer: Answerer,
        places: Places,
        supervisor: Supervisor,
        stopping: Stopping,
        prices: Prices,
        observer: Observer,
        *,
        commit_delay: float,
    ) -> None:
        self._log = streams
        self._keys = IdempotencyKeys(streams)
        self._admission = admission
        self._models = models
        self._preparation = preparation
        self._answerer = answerer
        self._places = places
        self._supervisor = supervisor
        self._stopping = stopping
        self._prices = prices
        self._observer = observer
        self._commit_delay = commit_delay

    async def start(self, caller: Caller, order: Order) -> Opened:
        """Open a stream that answers `order`, or find the one that its idempotency key was used for.

        Raises what admission, the model and the session refuse; and the stream's own error, if it fails before its
        first word and before the headers' time is over.
        """
        while True:
            if (known := await self._keys.find(caller, order)) is not None:
                return await self.again(known)
            self._admission.check(order)
            candidates = self._models.choose(order.model, order.ask, caller)
            prepared = await self._preparation.prepare(caller.id, order, candidates)
            tail = await self._log.open(_info(caller, prepared, candidates[0]))
            try:
                if await self._keys.bind(tail.info, prepared):
                    ask = await self._place(tail.info, prepared, candidates)
                    break
                await self._log.drop(tail)  # another request with the same key was faster
            except KeyInUse as used:
                await self._log.drop(tail)
                return await self.again(await self._keys.in_session(order, used.stream_id))
            except BaseException:  # cancellation too: the log that was opened is dropped again
                await self._log.drop(tail)
                raise
        bind_contextvars(stream_id=tail.info.id)
        await self._begin(tail, prepared, candidates, ask)
        return Opened(tail)

    async def again(self, tail: Tail) -> Opened:
        """The stream for a request that has come a second time: refused or answered as the first one was."""
        bind_contextvars(stream_id=tail.info.id)
        await self._commit(tail)
        return Opened(tail, replayed=True)

    async def _place(self, info: StreamInfo, order: Order, candidates: list[ModelEntry]) -> Ask:
        """What to ask, once the stream has its place. A stream that holds the session may be stopped for it."""
        place, holder = order.place, ""
        if place is None:
            return order.ask
        for left in reversed(range(_TRIES_WHILE_BUSY)):
            try:
                return await self._places.begin(info, place, order.ask, candidates)
            except Busy as busy:
                holder = busy.stream_id
            # After the last try nothing is stopped: it would be in vain.
            stop = place.on_busy == "cancel_previous" and left > 0
            if not await self._stopping.free_session(holder, stop=stop):
                break
        raise StreamForgeError("session_busy", stream_id=holder)

    async def _begin(self, tail: Tail, order: Order, candidates: list[ModelEntry], ask: Ask) -> None:
        first = candidates[0]
        info = tail.info
        meter = Meter(self._prices, first, prompt_tokens(ask), partial(self._observer.attempt_ended, info))
        telling = partial(self._supervisor.tell, tail)
        run = Run(info.owner, candidates, meter, telling, order.retrieval)
        self._supervisor.run(tail, self._answerer.answer(ask, run), meter, first.clocks.whole)
        if run.certain:
            return
        try:
            await self._commit(tail)
        except StreamForgeError:
            if order.place is not None:
                await self._places.withdraw(info, opened=order.place.new)
            raise

    async def _commit(self, tail: Tail) -> None:
        """Wait for a first sign, as long as headers may; raises the error of a stream that has failed by then."""
        if self._commit_delay:
            await FirstSign(tail, self._commit_delay).wait()
            if refused := refusal(tail.info.id, tail.events):
                raise refused


def _info(caller: Caller, order: Order, entry: ModelEntry) -> StreamInfo:
    """A fresh stream. In a session its ids are fixed here; its place is taken later."""
    place = order.place
    return StreamInfo(
        id=new_stream_id(),
        model=entry.id,
        created=int(time()),
        on_disconnect=order.on_disconnect,
        message_digest=digest(order.ask.message),
        owner=caller.id,
        key_id=caller.key_id,
        prompt_tokens=prompt_tokens(order.ask),
        session_id=(place.session_id or new_id()) if place else None,
        message_id=new_id() if place else None,
        idempotency_key=order.idempotency_key,
    )
