"""Chooses what a model sees of a conversation: a summary of its beginning, and its newest messages, within a budget.

Tokens are estimated (`domain.usage.room`), because not every model's vocabulary is at hand; a tenth is kept in reserve.
"""

from collections.abc import Sequence

from domain.catalogue import ModelEntry
from domain.messages import Message, Window
from domain.models import ASSUMED_WINDOW, Parameters
from domain.prompts import SUMMARISED
from domain.streams import Turn
from domain.usage import room

MAX_MESSAGES = 200
"""No more are sent, however short they are: each costs the provider's package time before it asks."""

_CARE = 0.9


def budget(candidates: Sequence[ModelEntry], asked: Parameters, message: str, most: int, *, reserve: int = 0) -> int:
    """The tokens left for earlier messages, whichever candidate answers; at most `most`.

    `reserve` is the number of tokens to leave for something else.
    """
    left = [_left(entry, asked, message) - reserve for entry in candidates if not entry.simulated]
    return max(0, min([most, *left]))


def _left(entry: ModelEntry, asked: Parameters, message: str) -> int:
    window = entry.context_window or ASSUMED_WINDOW
    answer = asked.max_tokens or entry.defaults.max_tokens or 0
    system = asked.system or entry.defaults.system or ""
    return int((window - min(answer, window // 2)) * _CARE) - room(system) - room(message)


def recall(window: Window, tokens: int, message: str) -> tuple[tuple[Turn, ...], str]:
    """The turns to send before `message`, and the message as it is sent.

    The turns begin with the user's, alternate, and fit into `tokens`; a question and its answers stay together. The
    summary is put into the user's oldest message: it is a model's text, not an instruction of this program.
    """
    summary = window.summary
    left = tokens - (room(SUMMARISED) + summary.tokens if summary else 0)
    turns: list[Turn] = []
    for exchange in reversed(_exchanges(window)):
        left -= sum(room(turn.text) for turn in exchange)
        if left < 0:
            break
        turns = exchange + turns
    if turns and turns[-1].role == "user":  # it was never answered
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
    """The older messages that no summary covers yet; empty while all of them fit into `tokens` and are few enough.

    The rest stays as it is: about half of the budget, beginning with a message of the user.
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
    """Each question with the answers to it: adjacent messages of one side are joined into one turn."""
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
