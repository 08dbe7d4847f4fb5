"""Answers from documents: the question is made self-contained, passages are found and shown, then it is answered."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import structlog

from domain.catalogue import ModelEntry
from domain.documents import Passage, Retrieval
from domain.errors import StreamForgeError
from domain.events import Delta, Quoted, Retrieving
from domain.models import ASSUMED_WINDOW, Finished
from domain.prompts import STANDALONE_QUESTION
from domain.streams import Ask, Order
from services.accounts.metering import prompt_tokens
from services.answering.answerer import Answerer, Run, Source
from services.answering.simulated_quotes import NOTHING_FOUND
from services.answering.whole_answer import read_whole, short_ask, text_of
from services.chain_service import Chain
from services.documents.retrieval import Retriever

log = structlog.get_logger("documents")

_TURNS = 6
_TURN_CHARS = 1_000
_QUESTION_CHARS = 1_000
_QUESTION_TOKENS = 120
_REWRITE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Grounds:
    """When and how documents are used.

    `always`: also for a request that does not ask for it. `strict`: if nothing is found, no model is asked. `chars` is
    the length of passages.
    """

    always: bool = False
    strict: bool = True
    chars: int = 1_000


class Grounding:
    """Answers from documents, around another answerer: passages are found and shown first, then `inner` answers.

    `open_answer` opens a model's answer to a question of the program's own.
    """

    def __init__(
        self,
        retriever: Retriever,
        open_answer: Callable[[ModelEntry, Ask], Awaitable[Chain]],
        grounds: Grounds,
        inner: Answerer,
    ) -> None:
        self._retriever = retriever
        self._open = open_answer
        self._grounds = grounds
        self._inner = inner

    async def prepare(self, owner: str, order: Order, candidates: Sequence[ModelEntry]) -> Order:
        """The order, with the tokens that passages may take; raises `document_not_found`.

        A request that offers tools uses no documents by default: a text in them could have a tool called.
        """
        retrieval = order.retrieval
        if retrieval is None:
            if not self._grounds.always or order.plain or order.ask.parameters.tools:
                return order
            retrieval = Retrieval()
        await self._retriever.check(owner, retrieval)
        window = min(entry.context_window or ASSUMED_WINDOW for entry in candidates)
        reserve = min(self._retriever.reserve(retrieval, self._grounds.chars), window // 2)
        return replace(order, retrieval=retrieval, ask=replace(order.ask, reserve=reserve))

    def answer(self, ask: Ask, run: Run) -> Source:
        if run.retrieval is None:
            return self._inner.answer(ask, run)
        return self._grounded(ask, run, run.retrieval)

    async def _grounded(self, ask: Ask, run: Run, retrieval: Retrieval) -> Source:
        """Yields `Retrieving`, a `Quoted` for each passage, and the answer."""
        question = await self._question(ask, run)
        yield Retrieving(question if question != ask.message else None)
        passages = await self._retriever.find(run.owner, question, retrieval, ask.reserve, part=True)
        for number, passage in enumerate(passages, 1):
            yield _quoted(number, passage)
        if passages:
            ask = replace(ask, passages=tuple(passages))
        elif self._grounds.strict or run.first.simulated:
            yield Delta(NOTHING_FOUND)
            yield Finished("stop")
            return
        else:
            yield Delta(f"{NOTHING_FOUND}\n\n")
        run.meter.reads(prompt_tokens(ask))
        async with aclosing(self._inner.answer(ask, run)) as source:
            async for event in source:
                yield event

    async def _question(self, ask: Ask, run: Run) -> str:
        """What to search for: the message, or a model's rewording of it if it continues a conversation."""
        before = ask.before if ask.dialogue is None else ask.dialogue[:-1]
        if run.first.simulated or not before:
            return ask.message[:_QUESTION_CHARS]
        said = "\n\n".join(f"{turn.role}: {turn.text[:_TURN_CHARS]}" for turn in before[-_TURNS:] if turn.text)
        prompt = STANDALONE_QUESTION.format(said=said, question=ask.message[:_QUESTION_CHARS])
        try:
            async with asyncio.timeout(_REWRITE_SECONDS):
                question = await self._rewritten(run, prompt)
        except (StreamForgeError, TimeoutError) as error:
            log.warning("a question was not made self-contained", exc_info=error)
            question = ""
        return question.strip()[:_QUESTION_CHARS] or ask.message[:_QUESTION_CHARS]

    async def _rewritten(self, run: Run, prompt: str) -> str:
        entry, meter = run.first, run.meter
        asked = short_ask(entry, prompt, _QUESTION_TOKENS)
        said: list[Delta] = []
        meter.begin(entry)
        meter.reads(prompt_tokens(asked))
        try:
            await read_whole(await self._open(entry, asked), meter, said)
        finally:
            meter.answered(said)
        return text_of(said)


def _quoted(number: int, passage: Passage) -> Quoted:
    key = passage.key
    return Quoted(
        number, f"{key.document_id}-{key.number}", key.document_id, passage.title, passage.text, passage.page,
        passage.heading, passage.score, passage.media_type,
    )  # fmt: skip
