"""Counts what the attempts of a stream use. The sum can be taken at any moment, so that every kind of end has one."""

from collections.abc import Callable, Sequence

from domain.catalogue import Catalogue, ModelEntry
from domain.events import Delta, Event, Reasoning, ToolCall
from domain.models import ASSUMED_WINDOW
from domain.streams import Ask, Turn, said
from domain.usage import NOTHING_USED, Attempt, Spent, Usage, pieces, streamed
from services.accounts.prices import Prices
from stores.streams.tail import Tail

_LONG_ANSWER = 8_192
"""Tokens that an answer is expected to stay below if neither the request nor the catalogue limits it."""

# If an attempt fails with one of these, the model has not read the prompt: nothing was used.
_UNREAD = frozenset(
    {
        "provider_not_configured", "provider_unreachable", "provider_connect_timeout", "provider_rate_limited",
        "provider_overloaded", "provider_auth", "provider_model", "provider_refused", "context_overflow",
        "provider_error",
    }
)  # fmt: skip


def prompt_tokens(ask: Ask) -> int:
    """An estimate of the tokens that the model has to read."""
    asked = ask.parameters
    offered = sum(pieces(f"{tool.name} {tool.description or ''} {tool.schema}") for tool in asked.tools or ())
    offered += sum(pieces(passage.text) for passage in ask.passages or ())
    if ask.dialogue is not None:
        return offered + sum(pieces(_turn(turn)) for turn in ask.dialogue)
    said = sum(pieces(turn.text) for turn in ask.before)
    return offered + pieces(asked.system or "") + said + pieces(ask.message)


def most_tokens(ask: Ask, candidates: Sequence[ModelEntry]) -> int:
    """The most that an answer may take besides its prompt, whichever candidate gives it."""
    return ask.reserve + max(_longest_answer(entry, ask.parameters.max_tokens) for entry in candidates)


def _longest_answer(entry: ModelEntry, asked: int | None) -> int:
    window = entry.context_window or ASSUMED_WINDOW
    return asked or entry.defaults.max_tokens or entry.max_output_tokens or min(window, _LONG_ANSWER)


def _turn(turn: Turn) -> str:
    return " ".join([turn.text, *(_words(call) for call in turn.calls)])


class Meter:
    """The account of one stream. Only its last attempt has streamed words. `prompt` is in tokens, estimated.

    `ended` is called with every attempt that ends before its stream does.
    """

    __slots__ = ("_asking", "_attempts", "_ended", "_entry", "_input", "_prices", "_reported")

    def __init__(
        self, prices: Prices, entry: ModelEntry, prompt: int, ended: Callable[[Attempt], None] | None = None
    ) -> None:
        self._ended = ended
        self._prices = prices
        self._entry = entry
        self._input = prompt
        self._attempts: list[Attempt] = []
        self._asking = True
        self._reported: Usage | None = None

    @property
    def model(self) -> str:
        """The id of the model that is being asked."""
        return self._entry.id

    @property
    def asking(self) -> bool:
        """Whether an attempt is under way."""
        return self._asking

    def begin(self, entry: ModelEntry) -> None:
        """An attempt begins: this model is asked now."""
        self._entry = entry
        self._asking = True
        self._reported = None

    def report(self, usage: Usage) -> None:
        """Take the model's own count; it replaces an earlier one."""
        self._reported = usage

    def reads(self, prompt: int) -> None:
        """Set the estimated tokens of the next prompt."""
        self._input = prompt

    def answered(self, said: Sequence[Event]) -> None:
        """The attempt is over and another one follows; its text was for this program alone."""
        self._end(self._attempt(said, None, whole=True))

    def failed(self, code: str) -> None:
        """The attempt has failed before its first word; another one may follow."""
        self._end(self._attempt([], code))

    def spent(self, events: Sequence[Event], code: str | None = None, *, whole: bool = False) -> Spent:
        """The sum so far. `code` is the error that ends the stream; `whole` says that the answer is complete."""
        attempts = self._attempts
        if self._asking:
            attempts = [*attempts, self._attempt(events, code, whole=whole)]
        return Spent.of(tuple(attempts))

    def _end(self, attempt: Attempt) -> None:
        self._attempts.append(attempt)
        self._asking = False
        if self._ended is not None:
            self._ended(attempt)

    def _attempt(self, events: Sequence[Event], code: str | None, *, whole: bool = False) -> Attempt:
        usage = self._used(events, code, whole=whole)
        return Attempt(self._entry.id, usage, self._prices.cost(self._entry, usage), code)

    def _used(self, events: Sequence[Event], code: str | None, *, whole: bool) -> Usage:
        reported = self._reported
        if whole and reported is not None and reported.input_tokens:  # some servers count only the answer
            return reported
        answer = [_words(event) for event in events if isinstance(event, Delta | ToolCall)]
        thoughts = [event.text for event in events if type(event) is Reasoning]
        if reported is None and not answer and not thoughts and code in _UNREAD:
            return NOTHING_USED
        thought = streamed(thoughts) if thoughts else None
        said = streamed(answer) + (thought or 0)
        if reported is None:
            return Usage(self._input, said, exact=False, reasoning_tokens=thought)
        read = reported.input_tokens or self._input
        return Usage(read, max(reported.output_tokens, said), False, reported.cached_tokens, thought)


def _words(event: Delta | ToolCall) -> str:
    if isinstance(event, ToolCall):
        return f"{event.name or ''}{event.arguments}"
    return event.text


class Estimator:
    """Estimates from the log what a stream of another process has used."""

    def __init__(self, catalogue: Catalogue, prices: Prices) -> None:
        self._catalogue = catalogue
        self._prices = prices

    async def spent(self, tail: Tail) -> Spent:
        """An estimate from the words that were streamed."""
        entry = self._catalogue.entries.get(tail.info.model)
        if entry is None:  # the other process has another catalogue
            return Spent(Usage(tail.info.prompt_tokens, streamed([said(tail.events)]), exact=False), None)
        await self._prices.ready(entry)
        return Meter(self._prices, entry, tail.info.prompt_tokens).spent(tail.events)
