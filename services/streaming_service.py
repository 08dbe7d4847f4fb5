"""Streams: how one is started, followed and stopped."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from time import time

import structlog
from structlog.contextvars import bind_contextvars

from domain.callers import Caller
from domain.documents import Retrieval
from domain.errors import StreamForgeError
from domain.events import Done, Terminal
from domain.messages import KeyInUse, new_id
from domain.models import SIMULATED, ModelEntry
from domain.streams import RETRY_AFTER, Ask, Order, Snapshot, StreamInfo, digest, new_stream_id, refusal, snapshot
from services.accounts.metering import Meter, prompt_tokens
from services.accounts.prices import Prices
from services.answering.cooling import Cooling
from services.answering.failover import Failover, RetryPolicy, Source
from services.answering.grounding import Answering, Grounding
from services.answering.simulated import Responder, Simulated
from services.chain_service import Chain, ChainService
from services.conversations.turns import Conversations
from services.models.model_service import ModelService
from services.streams.first_sign import FirstSign, ends
from services.streams.idempotency import Claims
from services.streams.readers import Reader, Readers
from services.streams.supervisor import Supervisor
from services.upkeep.drain import Drain
from stores.streams.base import StreamLog, Tail

log = structlog.get_logger("streams")

_STOP_SECONDS = 5.0  # that a stream has to end, when another one is to take its place in a session


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may ask for, and for how long its headers wait for a first sign of the model. Seconds."""

    max_streams: int
    max_message_chars: int
    commit_delay: float


@dataclass(frozen=True, slots=True)
class Asking:
    """How often models are asked, and for how long one that is in trouble is not."""

    policy: RetryPolicy
    cooling: Cooling


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream to follow. `replayed` says that it was started before, by the same request."""

    tail: Tail
    replayed: bool = False


class StreamingService:
    """Starts, finds and cancels streams; readers come and go through it."""

    def __init__(
        self,
        *,
        simulated: Simulated,
        limits: Limits,
        asking: Asking,
        prices: Prices,
        log: StreamLog,
        supervisor: Supervisor,
        readers: Readers,
        models: ModelService,
        chains: ChainService,
        conversations: Conversations,
        drain: Drain,
        grounding: Grounding,
    ) -> None:
        self._simulated = Responder(simulated)
        self._limits = limits
        self._log = log
        self._claims = Claims(log)
        self._supervisor = supervisor
        self._readers = readers
        self._models = models
        self._chains = chains
        self._conversations = conversations
        self._drain = drain
        self._prices = prices
        self._failover = Failover(self._chain, prices, asking.cooling, asking.policy)
        self._grounding = grounding

    async def start(self, caller: Caller, order: Order) -> Opened:
        """Open a stream that answers `order`, or find the one that was opened for the same idempotency key.

        Refused with `message_too_long`, `server_draining`, `too_many_streams`, for what the model cannot do, and for
        what the session does not allow; and with the stream's own error, where it fails before its first word and
        before the headers' time is over.
        """
        if (known := await self._claims.find(caller, order)) is not None:
            return await self.again(known)
        self._admit(order)
        candidates = self._models.choose(order.model, order.ask, caller)
        order = await self._grounding.prepare(caller.id, order, candidates)
        tail = await self._log.open(_info(caller, order, candidates[0]))
        try:
            if not await self._claims.claim(tail.info, order):  # another request with the same key was faster
                await self._log.drop(tail)
                return await self.start(caller, order)
            ask = await self._place(tail.info, order, candidates)
        except KeyInUse as used:
            await self._log.drop(tail)
            return await self.again(await self._claims.recall(order, used.stream_id))
        except BaseException:  # whatever stops us here, and be it the client: the stream never came to be
            await self._log.drop(tail)
            raise
        bind_contextvars(stream_id=tail.info.id)
        self._produce(tail, candidates, ask, order.retrieval)
        if candidates[0].provider != SIMULATED or order.retrieval is not None:  # for what cannot fail nobody waits
            try:
                await self._commit(tail)
            except StreamForgeError:
                if order.place is not None:
                    await self._conversations.withdraw(tail.info, opened=order.place.new)
                raise
        return Opened(tail)

    async def find(self, caller: Caller, stream_id: str) -> Tail:
        """The caller's stream, or `stream_not_found`, as for one that does not exist."""
        tail = await self._log.find(stream_id)
        if tail is None or tail.info.owner != caller.id or tail.info.of_document:
            raise StreamForgeError("stream_not_found")
        bind_contextvars(stream_id=stream_id)
        return tail

    async def again(self, tail: Tail) -> Opened:
        """The stream for a request that has come a second time, as its first coming got it: refused or answered."""
        bind_contextvars(stream_id=tail.info.id)
        await self._commit(tail)
        return Opened(tail, replayed=True)

    async def state(self, caller: Caller, stream_id: str) -> Snapshot:
        """What the stream has said so far; asking counts as reading."""
        tail = await self.find(caller, stream_id)
        if production := self._supervisor.live.get(stream_id):
            production.orphan = 0
        await self._log.reading(tail)
        # An answer is not called complete before it is stored: that may fail.
        outcome = tail.outcome if tail.ended or not isinstance(tail.outcome, Done) else None
        return snapshot(tail.info, tail.events, outcome, resumable_elsewhere=self._resumable_elsewhere(tail))

    async def cancel(self, caller: Caller, stream_id: str) -> Snapshot:
        """Stop the model; a stream that has already ended keeps its outcome."""
        tail = await self.find(caller, stream_id)
        await self._supervisor.cancel(tail, "requested")
        return snapshot(tail.info, tail.events, tail.outcome, resumable_elsewhere=self._resumable_elsewhere(tail))

    async def stop(self, stream_ids: Sequence[str]) -> None:
        """Stop streams whose session is gone; their owner has been checked there.

        One that cannot be reached now goes on, and finds no place any more for what it says.
        """
        for stream_id in stream_ids:
            try:
                if tail := await self._log.find(stream_id):
                    await self._supervisor.cancel(tail, "requested")
            except StreamForgeError as error:
                log.warning("a stream could not be stopped with its session", stream_id=stream_id, code=error.code)

    def admit(self, tail: Tail) -> None:
        """Refuse one reader too many, before its first byte."""
        self._readers.admit(tail)

    def join(self, tail: Tail, reader: Reader) -> None:
        """`reader` follows the stream from now on."""
        self._readers.attach(tail, reader)

    async def leave(self, tail: Tail, reader: Reader) -> None:
        """`reader` has gone. The last one to go, of all processes, may take the stream along, if that was asked for."""
        self._readers.detach(tail, reader)
        await self._left(tail)

    async def outcome(self, tail: Tail) -> Terminal:
        """Wait for the stream's end, as one reader of it more; who is cancelled here has left like one."""
        self._readers.admit(tail)
        try:
            if not await ends(tail, None) or tail.outcome is None:
                raise StreamForgeError("log_unavailable", retry_after=RETRY_AFTER)
        finally:
            await self._left(tail)
        return tail.outcome

    async def _left(self, tail: Tail) -> None:
        if tail.outcome is not None or tail.followers:
            return
        if tail.produced_here:
            await self._supervisor.unread(tail.info.id)
        elif not self._drain.draining:  # or it is we who have sent it away, and it comes back somewhere else
            await self._log.left(tail)

    def _admit(self, order: Order) -> None:
        """Refuse what cannot be started now, or at all.

        Of what a client says was said only what people write is short: an answer that comes back may be of any length.
        """
        ask, most = order.ask, self._limits.max_message_chars
        said = [("message", "message", ask.message), ("system", "system", ask.parameters.system or "")]
        if order.place is not None:
            said += [("message", "messages", each.text) for each in order.place.earlier if each.role == "user"]
        if ask.dialogue is not None:
            written = [(at, turn.text) for at, turn in enumerate(ask.dialogue) if turn.role in ("user", "system")]
            said = [("message", f"messages/{at}/content", text) for at, text in written]
        for name, place, text in said:
            if len(text) > most:
                detail = f"The {name} has {len(text)} characters; this server takes at most {most}."
                raise StreamForgeError("message_too_long", detail, pointer=f"#/{place}")
        if self._drain.draining:
            raise StreamForgeError("server_draining", retry_after=RETRY_AFTER)
        if len(self._supervisor.live) >= self._limits.max_streams:
            raise StreamForgeError("too_many_streams", retry_after=RETRY_AFTER)

    async def _place(self, info: StreamInfo, order: Order, candidates: list[ModelEntry]) -> Ask:
        if order.place is None:
            return order.ask
        return await self._conversations.begin(info, order.place, order.ask, candidates, self._release)

    async def _release(self, stream_id: str, *, stop: bool) -> bool:
        """Whether a session is free of this stream: it is gone, or it could be stopped, where it may be."""
        tail = await self._log.find(stream_id)
        if tail is None:
            return True
        if tail.ended and tail.outcome is not None:  # it may hold the session only because that could not be stored
            await self._conversations.save(tail, tail.outcome, None, None)
            return True
        if not stop:
            return False
        await self._supervisor.cancel(tail, "replaced")
        return await ends(tail, _STOP_SECONDS)

    def _produce(self, tail: Tail, candidates: list[ModelEntry], ask: Ask, retrieval: Retrieval | None) -> None:
        entry = candidates[0]
        meter = Meter(self._prices, entry, prompt_tokens(ask))

        def say(ask: Ask) -> Source:
            if entry.provider == SIMULATED:
                return self._simulated.answer(ask)
            return self._failover.generate_llm_stream(candidates, ask, meter, partial(self._supervisor.tell, tail))

        if retrieval is None:
            source = say(ask)
        else:
            source = self._grounding.answer(Answering(tail.info.owner, entry, meter, say), ask, retrieval)
        self._supervisor.run(tail, source, meter, entry.clocks.whole)

    async def _commit(self, tail: Tail) -> None:
        """Wait for a first sign, as long as headers may. A stream that has failed by then is refused."""
        if self._limits.commit_delay:
            await FirstSign(tail, self._limits.commit_delay).wait()
            if refused := refusal(tail.info.id, tail.events):
                raise refused

    def _resumable_elsewhere(self, tail: Tail) -> bool | None:
        """Whether other processes can read the stream; nothing where there are none."""
        return tail.shared if self._log.shared else None

    async def _chain(self, entry: ModelEntry, ask: Ask) -> Chain:
        if entry.provider == SIMULATED:  # somebody's fallback
            return self._simulated.answer(ask)
        if ask.passages is not None:
            return await self._chains.create_rag_chain(entry, ask)
        return await self._chains.create_chat_chain(entry, ask)


def _info(caller: Caller, order: Order, entry: ModelEntry) -> StreamInfo:
    """A fresh stream. In a session it has its place there from now on, which is taken later."""
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
