"""Lets a model write about conversations in the background: titles, and summaries of what no longer fits.

No answer waits for this: exchanges wait in a bounded queue for one worker, and those that do not fit are dropped.
Without a real model neither is written; the title is then the first words of the first question.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from time import time

import structlog

from domain.catalogue import ModelEntry
from domain.errors import StreamForgeError
from domain.events import Delta, Done
from domain.messages import MAX_TITLE, Message, Summary, new_id
from domain.prompts import SUMMARY, TITLE
from domain.streams import Ask, StreamInfo, digest, new_stream_id
from domain.usage import room
from services.accounts.budget import TokenBudget
from services.accounts.metering import Meter, prompt_tokens
from services.accounts.prices import Prices
from services.answering.whole_answer import read_whole, short_ask, text_of
from services.chain_service import ChainService
from services.conversations.memory import MAX_MESSAGES, to_summarise
from services.observing.observer import Ended, Observer
from services.storage import Storage

log = structlog.get_logger("scribe")

_MAX_WAITING = 1_000
_EXCHANGE_SECONDS = 120.0
_TITLE_TOKENS = 24
_SUMMARY_TOKENS = 400
_MESSAGE_CHARS = 4_000
_SPACES = re.compile(r"\s+")

Choose = Callable[[str], ModelEntry | None]
"""Returns the model that writes about conversations with the model of this id, if any does."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its complete answer. `tokens` is the conversation's budget; the `first` one gives a title."""

    info: StreamInfo
    question: Message
    answer_id: str
    tokens: int
    first: bool


def first_words(question: str) -> str:
    """A title without a model: the question, cut at a word if it is long."""
    text = _SPACES.sub(" ", question[:200]).strip()
    if len(text) <= 60:
        return text
    return f"{text[:60].rsplit(' ', 1)[0]}…"


class Scribe:
    """Writes about exchanges, one after the other."""

    def __init__(
        self,
        storage: Storage,
        chains: ChainService,
        choose: Choose,
        prices: Prices,
        observer: Observer,
        budget: TokenBudget | None = None,
    ) -> None:
        self._sessions = storage.sessions
        self._messages = storage.messages
        self._chains = chains
        self._choose = choose
        self._prices = prices
        self._observer = observer
        self._budget = budget
        self._waiting: asyncio.Queue[Exchange] = asyncio.Queue(_MAX_WAITING)

    def consider(self, exchange: Exchange) -> None:
        """Queue the exchange."""
        entry = self._choose(exchange.info.model)
        if entry is not None and not entry.simulated:
            try:
                self._waiting.put_nowait(exchange)
            except asyncio.QueueFull:
                log.warning(
                    "a conversation gets no title or summary: too many are waiting",
                    session_id=exchange.question.session_id,
                )

    async def run(self) -> None:
        """Write for ever."""
        while True:
            exchange = await self._waiting.get()
            try:
                async with asyncio.timeout(_EXCHANGE_SECONDS):
                    await self._write(exchange)
            except Exception as error:  # a missing title or summary does no harm
                if isinstance(error, StreamForgeError) and error.code == "quota_exceeded":
                    continue  # its owner learns that from the next answer
                log.warning(
                    "a conversation got no title or summary", session_id=exchange.question.session_id, exc_info=error
                )

    async def _write(self, exchange: Exchange) -> None:
        entry = self._choose(exchange.info.model)
        if entry is None:
            return
        if exchange.first:
            window = await self._messages.window(
                exchange.info.owner,
                exchange.question.session_id,
                leaf_id=exchange.answer_id,
                max_messages=2,
                max_tokens=exchange.tokens,
            )
            title = await self._ask(exchange, entry, TITLE.format(said=_transcript(window.messages)), _TITLE_TOKENS)
            if title := _SPACES.sub(" ", title).strip(" \"'#*."):
                await self._sessions.title(exchange.info.owner, exchange.question.session_id, title[:MAX_TITLE])
        await self._summarise(exchange, entry)

    async def _summarise(self, exchange: Exchange, entry: ModelEntry) -> None:
        owner = exchange.info.owner
        window = await self._messages.window(
            owner,
            exchange.question.session_id,
            leaf_id=exchange.answer_id,
            max_messages=2 * MAX_MESSAGES,
            max_tokens=exchange.tokens * 2,
        )
        older = to_summarise(window, exchange.tokens)
        if not older:
            return
        before = f"Earlier: {window.summary.text}\n\n" if window.summary else ""
        text = await self._ask(exchange, entry, SUMMARY.format(said=before + _transcript(older)), _SUMMARY_TOKENS)
        if text := text.strip():
            last = older[-1]
            summary = Summary(
                new_id(), exchange.question.session_id, last.id, last.depth, text, room(text), entry.id, time()
            )
            await self._messages.summarise(owner, summary)

    async def _ask(self, exchange: Exchange, entry: ModelEntry, prompt: str, tokens: int) -> str:
        """A model's whole answer, charged to the owner; raises `quota_exceeded` if the owner has no tokens left."""
        asked = short_ask(entry, prompt, tokens)
        read = prompt_tokens(asked)
        held = await self._budget.reserve(exchange.info.owner, read + tokens) if self._budget is not None else None
        try:
            return await self._answer(exchange, entry, asked, read)
        finally:
            if held is not None:
                held.release()

    async def _answer(self, exchange: Exchange, entry: ModelEntry, asked: Ask, read: int) -> str:
        await self._prices.ready(entry)
        meter = Meter(self._prices, entry, read)
        said: list[Delta] = []
        finished = await read_whole(await self._chains.create_chat_chain(entry, asked), meter, said)
        if finished is not None:
            info = StreamInfo(
                id=new_stream_id(), model=entry.id, created=int(time()), on_disconnect="detach",
                message_digest=digest(asked.message), owner=exchange.info.owner, key_id=exchange.info.key_id,
                session_id=exchange.question.session_id,
            )  # fmt: skip
            done = Done(finished.reason, entry.id, meter.spent(said, whole=True))
            self._observer.ended(Ended(info, done, len(said)))
        return text_of(said)


def _transcript(messages: list[Message]) -> str:
    return "\n\n".join(f"{message.role}: {message.text[:_MESSAGE_CHARS]}" for message in messages)
