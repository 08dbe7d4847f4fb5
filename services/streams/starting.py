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
from services.accounts.metering import Meter, most_tokens, prompt_tokens
from services.accounts.prices import Prices
from services.answering.answerer import Answerer, Run
from services.models.model_service import ModelService
from services.observing.observer import Observer
from services.streams.admission import Admission
from services.streams.first_sign import FirstSign
from services.streams.idempotency import IdempotencyKeys
from services.streams.production import Held
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

    def remembers(self, place: Place, ask: Ask, candidates: Sequence[ModelEntry]) -> int:
        """The most tokens of earlier messages that the model may be shown."""

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
            prompt = prompt_tokens(prepared.ask)
            held = await self._admission.hold(caller.id, self._most(prompt, prepared, candidates))
            opened = await self._open(_info(caller, prepared, candidates[0], prompt), prepared, candidates, held)
            if opened is not None:
                return opened

    async def _open(self, info: StreamInfo, order: Order, candidates: list[ModelEntry], held: Held) -> Opened | None:
        """The stream, begun; `None` if another request with the same key was faster.

        What is held is the stream's once it has begun, even if this request is cancelled then.
        """
        tail: Tail | None = None
        try:
            tail = await self._log.open(info)
            first = await self._keys.bind(info, order)
            ask = await self._place(info, order, candidates) if first else order.ask
        except BaseException as error:  # cancellation too: the log that was opened is dropped again
            held.release()
            if tail is not None:
                await self._log.drop(tail)
            if isinstance(error, KeyInUse):
                return await self.again(await self._keys.in_session(order, error.stream_id))
            raise
        if not first:
            held.release()
            await self._log.drop(tail)
            return None
        bind_contextvars(stream_id=info.id)
        await self._begin(tail, order, candidates, ask, held)
        return Opened(tail)

    def _most(self, prompt: int, order: Order, candidates: list[ModelEntry]) -> int:
        """The most tokens that an answer to the order may take."""
        place = order.place
        remembered = self._places.remembers(place, order.ask, candidates) if place is not None else 0
        return prompt + remembered + most_tokens(order.ask, candidates)

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

    async def _begin(self, tail: Tail, order: Order, candidates: list[ModelEntry], ask: Ask, held: Held) -> None:
        first = candidates[0]
        info = tail.info
        prompt = info.prompt_tokens if order.place is None else prompt_tokens(ask)
        held.may_take(prompt + most_tokens(ask, candidates))
        meter = Meter(self._prices, first, prompt, partial(self._observer.attempt_ended, info))
        telling = partial(self._supervisor.tell, tail)
        run = Run(info.owner, candidates, meter, telling, order.retrieval)
        self._supervisor.run(tail, self._answerer.answer(ask, run), meter, first.clocks.whole, held)
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


def _info(caller: Caller, order: Order, entry: ModelEntry, prompt: int) -> StreamInfo:
    """A fresh stream, with so many tokens to read. In a session its ids are fixed here; its place is taken later."""
    place = order.place
    return StreamInfo(
        id=new_stream_id(),
        model=entry.id,
        created=int(time()),
        on_disconnect=order.on_disconnect,
        message_digest=digest(order.ask.message),
        owner=caller.id,
        key_id=caller.key_id,
        prompt_tokens=prompt,
        session_id=(place.session_id or new_id()) if place else None,
        message_id=new_id() if place else None,
        idempotency_key=order.idempotency_key,
    )
