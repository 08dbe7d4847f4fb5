"""Replays an answer from the database when its log is gone."""

from typing import cast

from domain.events import Cancelled, CancelReason, Delta, Done, Failed, Started, Terminal
from domain.messages import Message
from domain.streams import StreamInfo
from domain.usage import Spent
from stores.streams.tail import Tail

_NOTHING_SPENT = Spent.of(())
"""The stored message has the usage; a replay reports none."""


def replayed(owner: str, answer: Message) -> Tail | None:
    """A stream with the answer's text and outcome; `None` if the answer has not ended."""
    outcome = _outcome(answer)
    if outcome is None or answer.stream_id is None:
        return None
    info = StreamInfo(
        answer.stream_id, answer.model or "", int(answer.created), "detach", b"", owner,
        session_id=answer.session_id, message_id=answer.id,
    )  # fmt: skip
    tail = Tail(info)
    tail.publish(Started(info.id, info.model, info.created, info.session_id, info.message_id))
    if answer.text:
        tail.publish(Delta(answer.text))
    tail.finish(outcome)
    return tail


def _outcome(answer: Message) -> Terminal | None:
    match answer.state:
        case "running":
            return None
        case "complete":
            return Done(answer.finish_reason or "stop", answer.model or "", _NOTHING_SPENT, answer.id)
        case "cancelled":
            return Cancelled(cast(CancelReason, answer.code), _NOTHING_SPENT)
        case _:
            return Failed(answer.code or "internal_error", _NOTHING_SPENT)
