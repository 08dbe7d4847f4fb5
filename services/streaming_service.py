"""Streams: where their words come from, and how one is started, followed and stopped."""

import re
from contextlib import aclosing
from functools import lru_cache
from time import time

from structlog.contextvars import bind_contextvars

from domain.errors import StreamForgeError
from domain.events import Cancelled, Delta, Done
from domain.streams import OnDisconnect, Snapshot, StreamInfo, digest, new_stream_id, snapshot
from domain.usage import Usage, estimate
from services.chain_service import SIMULATED, ChainService
from services.drain import Drain
from services.pacing import Pacer
from services.readers import Reader, Readers
from services.supervisor import Source, Supervisor, spent
from stores.streams.base import StreamLog, Tail

_WORDS = re.compile(r"\s*\S+\s*")


@lru_cache(maxsize=8)
def _words(text: str) -> tuple[Delta, ...]:
    return tuple(Delta(word) for word in _WORDS.findall(text))


async def generate_chunks(text: str, *, delay: float, pacer: Pacer, input_tokens: int) -> Source:
    """The simulated responder: `text` word by word, `delay` seconds apart, whatever the message.

    A word comes with the white space that follows it, so the words joined are the text.
    """
    words = _words(text)
    begun = pacer.now()
    for number, word in enumerate(words):
        if delay and number:
            await pacer.until(begun + number * delay)  # from the start, or lateness would add up
        yield word
    yield Done("stop", SIMULATED, Usage(input_tokens, len(words), exact=False))


async def generate_llm_stream(chain: Source) -> Source:
    """A model's words as its chain gives them, without empty ones, up to the event that ends them."""
    async with aclosing(chain):
        async for event in chain:
            if isinstance(event, Done):
                yield event
                return
            if event.text:
                yield event
    raise StreamForgeError("provider_incomplete")


class StreamingService:
    """Starts, finds and cancels streams; readers come and go through it."""

    def __init__(
        self,
        *,
        simulated_text: str,
        delay: float,
        max_streams: int,
        max_message_chars: int,
        log: StreamLog,
        supervisor: Supervisor,
        readers: Readers,
        chains: ChainService,
        drain: Drain,
    ) -> None:
        self._simulated_text = simulated_text
        self._delay = delay
        self._max_streams = max_streams
        self._max_message_chars = max_message_chars
        self._log = log
        self._supervisor = supervisor
        self._readers = readers
        self._chains = chains
        self._drain = drain
        self._pacer = Pacer()

    async def start(self, message: str, on_disconnect: OnDisconnect = "detach") -> Tail:
        """Open a stream that answers `message`.

        Refused with `message_too_long`, `server_draining`, `too_many_streams` or what the model's settings lack.
        """
        if len(message) > self._max_message_chars:
            detail = f"The message has {len(message)} characters; this server takes at most {self._max_message_chars}."
            raise StreamForgeError("message_too_long", detail, pointer="#/message")
        if self._drain.draining:
            raise StreamForgeError("server_draining", retry_after=5)
        if len(self._supervisor.live) >= self._max_streams:
            raise StreamForgeError("too_many_streams", retry_after=5)
        asked = estimate(message, 0).input_tokens
        source = self._source(message, asked)
        info = StreamInfo(
            id=new_stream_id(),
            model=self._chains.model,
            created=int(time()),
            on_disconnect=on_disconnect,
            message_digest=digest(message),
            estimated_input=asked,
        )
        bind_contextvars(stream_id=info.id)
        tail = await self._log.open(info)
        self._supervisor.run(tail, source)
        return tail

    async def find(self, stream_id: str) -> Tail:
        """The stream's tail, or `stream_not_found`."""
        tail = await self._log.find(stream_id)
        if tail is None:
            raise StreamForgeError("stream_not_found")
        bind_contextvars(stream_id=stream_id)
        return tail

    async def state(self, stream_id: str) -> Snapshot:
        """What the stream has said so far; asking counts as reading."""
        tail = await self.find(stream_id)
        if production := self._supervisor.live.get(stream_id):
            production.orphan = 0
        return snapshot(stream_id, tail.events, tail.outcome)

    async def cancel(self, stream_id: str) -> Snapshot:
        """Stop the model; a stream that has already ended keeps its outcome."""
        tail = await self.find(stream_id)
        await self._supervisor.end(tail, Cancelled("requested", spent(tail)))
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
            await self._supervisor.end(tail, Cancelled("disconnected", spent(tail)))

    def _source(self, message: str, input_tokens: int) -> Source:
        if self._chains.model == SIMULATED:
            return generate_chunks(
                self._simulated_text, delay=self._delay, pacer=self._pacer, input_tokens=input_tokens
            )
        return generate_llm_stream(self._chains.create_chat_chain(message))
