"""Streams: where their words come from, and how one is started, followed and stopped."""

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import lru_cache, partial
from time import time

from structlog.contextvars import bind_contextvars

from domain.callers import Caller
from domain.errors import StreamForgeError
from domain.events import TERMINAL, Delta, Reasoning
from domain.models import SIMULATED, Finished, ModelEntry
from domain.streams import (
    RETRY_AFTER,
    Ask,
    OnDisconnect,
    Snapshot,
    StreamInfo,
    digest,
    new_stream_id,
    refusal,
    snapshot,
)
from services.chain_service import Chain, ChainService
from services.cooling import Cooling
from services.drain import Drain
from services.failover import Failover, RetryPolicy
from services.metering import Meter
from services.model_service import ModelService
from services.pacing import Pacer
from services.prices import Prices
from services.readers import Reader, Readers
from services.supervisor import Supervisor
from stores.streams.base import StreamLog, Tail

_WORDS = re.compile(r"\s*\S+\s*")


@lru_cache(maxsize=8)
def _words(text: str) -> tuple[Delta, ...]:
    return tuple(Delta(word) for word in _WORDS.findall(text))


async def generate_chunks(text: str, *, delay: float, pacer: Pacer) -> AsyncGenerator[Delta | Finished, None]:
    """The simulated responder: `text` word by word, `delay` seconds apart, whatever the message.

    A word comes with the white space that follows it, so the words joined are the text.
    """
    begun = pacer.now()
    for number, word in enumerate(_words(text)):
        if delay and number:
            await pacer.until(begun + number * delay)  # from the start, or lateness would add up
        yield word
    yield Finished("stop")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may ask for, and for how long its headers wait for a first sign of the model. Seconds."""

    max_streams: int
    max_message_chars: int
    commit_delay: float


class FirstSign:
    """A follower that waits, for a while, until a stream has said something or has ended."""

    def __init__(self, tail: Tail, seconds: float) -> None:
        self._tail = tail
        self._loop = asyncio.get_running_loop()
        self._sign = self._loop.create_future()
        self._timer = self._loop.call_later(seconds, self._give)

    def wake(self) -> None:
        """What came last is what counts: where words came before it, this has been woken for them."""
        if isinstance(self._tail.events[-1], (Delta, Reasoning, *TERMINAL)):
            self._give()

    def cut(self) -> None:
        self._give()

    async def wait(self) -> None:
        """Returns at the first sign, or when the time is over."""
        self._tail.followers.append(self)
        try:
            await self._sign
        finally:
            self._timer.cancel()
            self._tail.followers.remove(self)

    def _give(self) -> None:
        if not self._sign.done():
            self._sign.set_result(None)


class StreamingService:
    """Starts, finds and cancels streams; readers come and go through it."""

    def __init__(
        self,
        *,
        simulated_text: str,
        delay: float,
        limits: Limits,
        policy: RetryPolicy,
        cooling: Cooling,
        log: StreamLog,
        supervisor: Supervisor,
        readers: Readers,
        models: ModelService,
        chains: ChainService,
        drain: Drain,
    ) -> None:
        self._simulated_text = simulated_text
        self._delay = delay
        self._limits = limits
        self._log = log
        self._supervisor = supervisor
        self._readers = readers
        self._models = models
        self._chains = chains
        self._drain = drain
        self._prices = Prices()
        self._failover = Failover(self._chain, self._prices, cooling, policy)
        self._pacer = Pacer()

    async def start(
        self, caller: Caller, ask: Ask, model: str | None = None, on_disconnect: OnDisconnect = "detach"
    ) -> Tail:
        """Open a stream that answers `ask`, and belongs to the caller.

        Refused with `message_too_long`, `server_draining`, `too_many_streams`, or for what the model cannot do;
        and with the stream's own error, where it fails before its first word and before the headers' time is over.
        """
        self._admit(ask)
        candidates = self._models.choose(model, ask.parameters, caller)
        entry = candidates[0]
        info = StreamInfo(
            id=new_stream_id(),
            model=entry.id,
            created=int(time()),
            on_disconnect=on_disconnect,
            message_digest=digest(ask.message),
            owner=caller.id,
            key_id=caller.key_id,
        )
        bind_contextvars(stream_id=info.id)
        tail = await self._log.open(info)
        meter = Meter(self._prices, entry, f"{ask.parameters.system or ''} {ask.message}")
        if entry.provider == SIMULATED:  # cannot fail, so nobody waits for it
            self._supervisor.run(tail, self._simulated(), meter, entry.clocks.whole)
            return tail
        source = self._failover.generate_llm_stream(candidates, ask, meter, partial(self._supervisor.tell, tail))
        self._supervisor.run(tail, source, meter, entry.clocks.whole)
        if self._limits.commit_delay:
            await FirstSign(tail, self._limits.commit_delay).wait()
            if refused := refusal(info.id, tail.events):
                raise refused
        return tail

    async def find(self, caller: Caller, stream_id: str) -> Tail:
        """The stream's tail, or `stream_not_found`, which it also is where it is another's."""
        tail = await self._log.find(stream_id)
        if tail is None or tail.info.owner != caller.id:
            raise StreamForgeError("stream_not_found")
        bind_contextvars(stream_id=stream_id)
        return tail

    async def state(self, caller: Caller, stream_id: str) -> Snapshot:
        """What the stream has said so far; asking counts as reading."""
        tail = await self.find(caller, stream_id)
        if production := self._supervisor.live.get(stream_id):
            production.orphan = 0
        return snapshot(stream_id, tail.events, tail.outcome)

    async def cancel(self, caller: Caller, stream_id: str) -> Snapshot:
        """Stop the model; a stream that has already ended keeps its outcome."""
        tail = await self.find(caller, stream_id)
        await self._supervisor.cancel(tail, "requested")
        return snapshot(stream_id, tail.events, tail.outcome)

    def admit(self, tail: Tail) -> None:
        """Refuse one reader too many, before its first byte."""
        self._readers.admit(tail)

    def join(self, tail: Tail, reader: Reader) -> None:
        """`reader` follows the stream from now on."""
        self._readers.attach(tail, reader)

    async def leave(self, tail: Tail, reader: Reader) -> None:
        """`reader` has gone. The last one to go may take the stream along, if that was asked for."""
        self._readers.detach(tail, reader)
        if tail.outcome is None and tail.info.on_disconnect == "cancel" and not tail.followers:
            await self._supervisor.cancel(tail, "disconnected")

    def _admit(self, ask: Ask) -> None:
        """Refuse what cannot be started now, or at all."""
        most = self._limits.max_message_chars
        for name, text in (("message", ask.message), ("system", ask.parameters.system or "")):
            if len(text) > most:
                detail = f"The {name} has {len(text)} characters; this server takes at most {most}."
                raise StreamForgeError("message_too_long", detail, pointer=f"#/{name}")
        if self._drain.draining:
            raise StreamForgeError("server_draining", retry_after=RETRY_AFTER)
        if len(self._supervisor.live) >= self._limits.max_streams:
            raise StreamForgeError("too_many_streams", retry_after=RETRY_AFTER)

    def _simulated(self) -> AsyncGenerator[Delta | Finished, None]:
        return generate_chunks(self._simulated_text, delay=self._delay, pacer=self._pacer)

    async def _chain(self, entry: ModelEntry, ask: Ask) -> Chain:
        if entry.provider == SIMULATED:  # somebody's fallback
            return self._simulated()
        return await self._chains.create_chat_chain(entry, ask)
