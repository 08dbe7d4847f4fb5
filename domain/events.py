"""What a stream's log may hold: a closed set of small events.

A log reads, in this order:

- `Started`   once, first: which stream this is
- `Delta`     a piece of the answer, never empty; any number
- one terminal event, last: `Done`, `Failed` or `Cancelled`

A wire that does not say what it does with one of them fails the type check.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from domain.usage import Usage

UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
"""What no text of ours may hold: NUL and lone surrogates, which databases and JSON parsers refuse."""

FinishReason = Literal["stop", "length", "content_filter", "tool_calls"]
CancelReason = Literal["requested", "orphaned", "disconnected"]


@dataclass(frozen=True, slots=True)
class Started:
    """The stream exists. `created` is in whole seconds since the Unix epoch."""

    stream_id: str
    model: str
    created: int


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the answer's text: at least one character, no NUL, no lone surrogate."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The model said that it has finished, and why."""

    finish_reason: FinishReason
    model: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Failed:
    """The answer is not whole. `code` is a key of `domain.errors.ERRORS`."""

    code: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody, or a clock, did not want the rest."""

    reason: CancelReason
    usage: Usage


Terminal = Done | Failed | Cancelled
Event = Started | Delta | Terminal

TERMINAL: tuple[type[Terminal], ...] = get_args(Terminal)
