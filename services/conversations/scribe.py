"""What a model writes about conversations in the background: titles, and summaries of what no longer fits.

Never in an answer's way: jobs wait in a bounded queue for one worker, and what the queue cannot hold is not written.
Without a real model there are neither; a title is then the first words of the first question.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from time import time

import structlog

from domain.events import Delta, Done
from domain.messages import MAX_TITLE, Message, Summary, new_id
from domain.models import ModelEntry
from domain.prompts import SUMMARY, TITLE
from domain.streams import StreamInfo, digest, new_stream_id
from domain.usage import room
from services.accounts.metering import Meter, prompt_tokens
from services.accounts.prices import Prices
from services.answering.whole_answer import read_whole, short_ask, text_of
from services.chain_service import ChainService
from services.conversations.memory import MAX_MESSAGES, to_summarise
from services.observing.observer import Ended, Observer
from services.storage import Storage

log = structlog.get_logger("scribe")

_MAX_JOBS = 1_000
_JOB_SECONDS = 120.0
_TITLE_TOKENS = 24
_SUMMARY_TOKENS = 400
_MESSAGE_CHARS = 4_000
_SPACES = re.compile(r"\s+")

Choose = Callable[[str], ModelEntry | None]
"""The model that writes about conversations with the model of this id; nothing where none does."""


@dataclass(frozen=True, slots=True)
class Job:
    """An exchange that has ended. `tokens` is the budget that the conversation had; of the `first` it has its title."""

    info: StreamInfo
    question: Message
    answer_id: str
    tokens: int
    first: bool


def first_words(question: str) -> str:
    """A title that no model is needed for: the question, cut at a word where it is long."""
    text = _SPACES.sub(" ", question[:200]).strip()
    if len(text) <= 60:
        return text
    return f"{text[:60].rsplit(' ', 1)[0]}…"


class Scribe:
    """Writes what it is told to consider, one job after the other."""

    def __init__(
        self, storage: Storage, chains: ChainService, choose: Choose, prices: Prices, observer: Observer
    ) -> None:
        self._storage = storage
        self._chains = chains
        self._choose = choose
        self._prices = prices
        self._observer = observer
        self._jobs: asyncio.Queue[Job] = asyncio.Queue(_MAX_JOBS)

    def consider(self, job: Job) -> None:
        """Write about this exchange, when there is time, what there is to write."""
        entry = self._choose(job.info.model)
        if entry is not None and not entry.simulated:
            try:
                self._jobs.put_nowait(job)
            except asyncio.QueueFull:
                log.warning(
                    "nothing is written about a conversation: too many are waiting", session_id=job.question.session_id
                )

    async def run(self) -> None:
        """Work for ever."""
        while True:
            job = await self._jobs.get()
            try:
                async with asyncio.timeout(_JOB_SECONDS):
                    await self._write(job)
            except Exception as error:  # a title or a summary that is missing hurts nobody
                log.warning(
                    "nothing was written about a conversation", session_id=job.question.session_id, exc_info=error
                )

    async def _write(self, job: Job) -> None:
        entry = self._choose(job.info.model)
        if entry is None:
            return
        stores = await self._storage.open()
        if job.first:
            window = await stores.messages.window(
                job.info.owner,
                job.question.session_id,
                leaf_id=job.answer_id,
                max_messages=2,
                max_tokens=job.tokens,
            )
            title = await self._ask(job, entry, TITLE.format(said=_transcript(window.messages)), _TITLE_TOKENS)
            if title := _SPACES.sub(" ", title).strip(" \"'#*."):
                await stores.sessions.title(job.info.owner, job.question.session_id, title[:MAX_TITLE])
        await self._summarise(job, entry)

    async def _summarise(self, job: Job, entry: ModelEntry) -> None:
        stores = await self._storage.open()
        owner = job.info.owner
        window = await stores.messages.window(
            owner,
            job.question.session_id,
            leaf_id=job.answer_id,
            max_messages=2 * MAX_MESSAGES,
            max_tokens=job.tokens * 2,
        )
        older = to_summarise(window, job.tokens)
        if not older:
            return
        before = f"Earlier: {window.summary.text}\n\n" if window.summary else ""
        text = await self._ask(job, entry, SUMMARY.format(said=before + _transcript(older)), _SUMMARY_TOKENS)
        if text := text.strip():
            last = older[-1]
            summary = Summary(
                new_id(), job.question.session_id, last.id, last.depth, text, room(text), entry.id, time()
            )
            await stores.messages.summarise(owner, summary)

    async def _ask(self, job: Job, entry: ModelEntry, prompt: str, tokens: int) -> str:
        """A model's answer, on the owner's account."""
        asked = short_ask(entry, prompt, tokens)
        await self._prices.ready(entry)
        meter = Meter(self._prices, entry, prompt_tokens(asked))
        said: list[Delta] = []
        finished = await read_whole(await self._chains.create_chat_chain(entry, asked), meter, said)
        if finished is not None:
            info = StreamInfo(
                id=new_stream_id(), model=entry.id, created=int(time()), on_disconnect="detach",
                message_digest=digest(prompt), owner=job.info.owner, key_id=job.info.key_id,
                session_id=job.question.session_id,
            )  # fmt: skip
            done = Done(finished.reason, entry.id, meter.spent(said, whole=True))
            self._observer.ended(Ended(info, done, len(said)))
        return text_of(said)


def _transcript(messages: list[Message]) -> str:
    return "\n\n".join(f"{message.role}: {message.text[:_MESSAGE_CHARS]}" for message in messages)
