"""One log line at the end of each stream."""

import structlog

from domain.events import Cancelled, Failed
from domain.streams import model_of, state_of
from services.observing.observer import Ended, Observer

log = structlog.get_logger("streams")


class LogLines(Observer):
    """Logs a stream's outcome, usage and cost; never its text."""

    def ended(self, end: Ended) -> None:
        info, outcome, spent = end.info, end.outcome, end.outcome.spent
        facts: dict[str, object] = {"model": model_of(info, outcome)}
        if isinstance(outcome, Failed):
            facts["reason"] = outcome.code
        elif isinstance(outcome, Cancelled):
            facts["reason"] = outcome.reason
        if end.request_id:
            facts["request_id"] = end.request_id
        if info.session_id:
            facts["session_id"] = info.session_id
        if spent.cost is not None:
            facts["cost"] = f"{spent.cost.amount:f} {spent.cost.currency}"
        if spent.attempts:
            facts["attempts"] = [f"{attempt.model}: {attempt.error or 'answered'}" for attempt in spent.attempts]
        log.info(
            "stream ended",
            stream_id=info.id,
            state=state_of(outcome),
            deltas=end.deltas,
            input_tokens=spent.usage.input_tokens,
            output_tokens=spent.usage.output_tokens,
            exact=spent.usage.exact,
            **facts,
        )
