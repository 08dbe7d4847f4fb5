"""How much a generation used and cost, in tokens and money.

If a model does not report its tokens, they are estimated, offline and without a vocabulary: a run of printable ASCII
without white space is one token, and so is any other character that is not white space. That counts words for English
and characters for Chinese, and is good to a factor of about two. An answer counts as the greater of that and its
number of deltas, since most models send one delta a token.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Self

MAX_TOKENS = 10**9
"""The most that one answer may count as input or output: an unbounded number fits neither JSON nor a database."""

_PIECE = re.compile(r"[!-~]+|[^\x00-\x7f\s]")


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens in and out. `exact` is true if the model counted them, false if we estimated them.

    `cached_tokens` (a part of the input) and `reasoning_tokens` (a part of the output) are `None` unless the model
    reports them.
    """

    input_tokens: int
    output_tokens: int
    exact: bool
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


NOTHING_USED = Usage(0, 0, exact=False)


@dataclass(frozen=True, slots=True)
class Cost:
    """An amount of money; `source` is where its price is from: `catalogue`, or `genai-prices` with its version."""

    amount: Decimal
    currency: str
    source: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to one model. `cost` is `None` if unknown; `error` is the code with which it failed, if it did."""

    model: str
    usage: Usage
    cost: Cost | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """What a whole stream used and cost; `attempts`, in order, only if there was more than one."""

    usage: Usage
    cost: Cost | None
    attempts: tuple[Attempt, ...] = ()

    @classmethod
    def of(cls, attempts: tuple[Attempt, ...]) -> Self:
        """The sum. Its cost is unknown if that of any attempt that used tokens is, or if currencies differ."""
        if len(attempts) == 1:
            return cls(attempts[0].usage, attempts[0].cost)
        used = [attempt for attempt in attempts if attempt.usage.input_tokens or attempt.usage.output_tokens]
        usage = Usage(
            sum(attempt.usage.input_tokens for attempt in used),
            sum(attempt.usage.output_tokens for attempt in used),
            exact=bool(used) and all(attempt.usage.exact for attempt in used),
            cached_tokens=_sum(attempt.usage.cached_tokens for attempt in used),
            reasoning_tokens=_sum(attempt.usage.reasoning_tokens for attempt in used),
        )
        return cls(usage, _total([attempt.cost for attempt in used]), attempts)


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """What one stream used and cost, as stored for `GET /usage`. `created` is in seconds since the Unix epoch."""

    owner: str
    key_id: str | None
    stream_id: str
    session_id: str | None
    model: str
    state: str
    usage: Usage
    cost: Cost | None
    created: float


By = Literal["day", "model", "session", "owner"]
"""What sums of usage may be grouped by."""


@dataclass(frozen=True, slots=True)
class UsageSum:
    """A sum over streams. The fields it was not grouped by are `None`; so is `cost` if no stream's was known."""

    streams: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    exact: bool
    cost: Decimal | None
    currency: str | None
    day: str | None = None
    model: str | None = None
    session_id: str | None = None
    owner: str | None = None


def spent_any(spent: Spent) -> bool:
    """Whether any tokens are known to have been used: trying again would use them again."""
    return spent.usage.input_tokens > 0 or spent.usage.output_tokens > 0


def _sum(parts: Iterable[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _total(costs: list[Cost | None]) -> Cost | None:
    known = [cost for cost in costs if cost is not None]
    if not known or len(known) < len(costs) or len({cost.currency for cost in known}) > 1:
        return None
    sources = dict.fromkeys(cost.source for cost in known)
    return Cost(sum((cost.amount for cost in known), Decimal()), known[0].currency, ", ".join(sources))


def pieces(text: str) -> int:
    """An estimate of the tokens in a text."""
    return len(_PIECE.findall(text))


def room(text: str) -> int:
    """The tokens that a message may take of a context window: a high estimate, since a low one would overflow it.

    The greater of `pieces` and a quarter of the text's bytes, which is about right for English; and four for the
    message itself.
    """
    return max(pieces(text), -(-len(text.encode()) // 4)) + 4


def streamed(texts: list[str]) -> int:
    """An estimate of the tokens in an answer's deltas."""
    return max(len(texts), pieces("".join(texts)))


def account(spent: Spent) -> dict[str, object]:
    """What a stream used and cost, as it is shown and stored: `usage`, `cost`, and `attempts` if there were several."""
    shown: dict[str, object] = {"usage": _usage(spent.usage), "cost": _cost(spent.cost)}
    if spent.attempts:
        shown["attempts"] = [
            {
                "model": attempt.model,
                "usage": _usage(attempt.usage),
                "cost": _cost(attempt.cost),
                **({"error": attempt.error} if attempt.error else {}),
            }
            for attempt in spent.attempts
        ]
    return shown


def _usage(value: Usage) -> dict[str, object]:
    shown: dict[str, object] = {
        "input_tokens": value.input_tokens,
        "output_tokens": value.output_tokens,
        "exact": value.exact,
    }
    if value.cached_tokens is not None:
        shown["cached_tokens"] = value.cached_tokens
    if value.reasoning_tokens is not None:
        shown["reasoning_tokens"] = value.reasoning_tokens
    return shown


def _cost(value: Cost | None) -> dict[str, object] | None:
    # a float: JSON has one kind of number, and amounts are far from its limits
    if value is None:
        return None
    return {"amount": float(value.amount), "currency": value.currency, "source": value.source}
