"""What a model is told of a conversation: a summary of its beginning, and its newest messages, within a budget.

Tokens are estimated (`domain.usage.room`), since no vocabulary is here for every model; a tenth is left over for that.
"""

from collections.abc import Sequence

from domain.messages import Message, Window
from domain.models import ASSUMED_WINDOW, ModelEntry, Parameters
from domain.prompts import SUMMARISED
from domain.streams import Turn
from domain.usage import room

MAX_MESSAGES = 200
"""As many are told, however short they are: each costs the provider's package time before it asks."""

_CARE = 0.9


def budget(candidates: Sequence[ModelEntry], asked: Parameters, message: str, most: int, *, reserve: int = 0) -> int:
    """Tokens that there are for what was said before, whichever of the candidates comes to answer; `most` at most.

    `reserve` are those that something else needs.
    """
    left = [_left(entry, asked, message) - reserve for entry in candidates if not entry.simulated]
    return max(0, min([most, *left]))


def _left(entry: ModelEntry, asked: Parameters, message: str) -> int:
    window = entry.context_window or ASSUMED_WINDOW
    answer = asked.max_tokens or entry.defaults.max_tokens or 0
    system = asked.system or entry.defaults.system or ""
    return int((window - min(answer, window // 2)) * _CARE) - room(system) - room(message)


def recall(window: Window, tokens: int, message: str) -> tuple[tuple[Turn, ...], str]:
    """The turns to tell before `message`, and the message as it is to be told.

    They begin with the user's, take turns, and fit into `tokens`; a question goes together with its answers. The
    summary, which is a model's text and no instruction of ours, stands in the oldest message of the user.
    """
    summary = window.summary
    left = tokens - (room(SUMMARISED) + summary.tokens if summary else 0)
    turns: list[Turn] = []
    for exchange in reversed(_exchanges(window)):
        left -= sum(room(turn.text) for turn in exchange)
        if left < 0:
            break
        turns = exchange + turns
    if turns and turns[-1].role == "user":  # never answered
        message = f"{turns.pop().text}\n\n{message}"
    if summary is None:
        return tuple(turns), message
    if not turns:
        return (), SUMMARISED.format(summary=summary.text, message=message)
    first = Turn("user", SUMMARISED.format(summary=summary.text, message=turns[0].text))
    return (first, *turns[1:]), message


def uncovered(window: Window) -> list[Message]:
    """The messages that the summary does not cover."""
    depth = window.summary.depth if window.summary else -1
    return [message for message in window.messages if message.depth > depth]


def to_summarise(window: Window, tokens: int) -> list[Message]:
    """The older of the messages that no summary covers, where they no longer fit into `tokens` or are too many.

    What is kept, the newer half of what may be told, begins with a message of the user's.
    """
    messages = uncovered(window)
    if sum(message.tokens for message in messages) <= tokens and len(messages) <= MAX_MESSAGES:
        return []
    kept = 0
    split = len(messages)
    for index in range(len(messages) - 1, -1, -1):
        kept += messages[index].tokens
        if kept > tokens // 2 or len(messages) - index > MAX_MESSAGES // 2:
            break
        if messages[index].role == "user":
            split = index
    return messages[:split]


def _exchanges(window: Window) -> list[list[Turn]]:
    """Each question, and what was said to it: messages of one side that follow each other are one turn."""
    exchanges: list[list[Turn]] = []
    for message in uncovered(window):
        if not message.text:  # an answer that failed before its first word
            continue
        if message.role == "assistant":
            if exchanges:
                exchanges[-1] = _said(exchanges[-1], Turn("assistant", message.text))
        elif exchanges and exchanges[-1][-1].role == "user":  # it was never answered
            exchanges[-1] = _said(exchanges[-1], Turn("user", message.text))
        else:
            exchanges.append([Turn("user", message.text)])
    return exchanges


def _said(turns: list[Turn], turn: Turn) -> list[Turn]:
    *earlier, last = turns
    if last.role == turn.role:
        return [*earlier, Turn(turn.role, f"{last.text}\n\n{turn.text}")]
    return [*turns, turn]
