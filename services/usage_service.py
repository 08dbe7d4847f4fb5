"""The one place that learns what every stream has used: it logs that."""

import structlog

from domain.events import Cancelled, Done, Failed, Terminal
from domain.streams import StreamInfo, state_of

log = structlog.get_logger("streams")


class UsageService:
    """Keeps account of ended streams."""

    def record(self, info: StreamInfo, outcome: Terminal, *, deltas: int, request_id: str | None) -> None:
        """Called once a stream, at its end, whichever that is."""
        spent = outcome.spent
        facts: dict[str, object] = {"model": outcome.model if isinstance(outcome, Done) else info.model}
        if isinstance(outcome, Failed):
            facts["reason"] = outcome.code
        elif isinstance(outcome, Cancelled):
            facts["reason"] = outcome.reason
        if request_id:
            facts["request_id"] = request_id
        if spent.cost is not None:
            facts["cost"] = f"{spent.cost.amount:f} {spent.cost.currency}"
        if spent.attempts:
            facts["attempts"] = [f"{attempt.model}: {attempt.error or 'answered'}" for attempt in spent.attempts]
        log.info(
            "stream ended",
            stream_id=info.id,
            state=state_of(outcome),
            deltas=deltas,
            input_tokens=spent.usage.input_tokens,
            output_tokens=spent.usage.output_tokens,
            exact=spent.usage.exact,
            **facts,
        )
