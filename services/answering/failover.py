"""The loop that asks a model, asks it again, and asks others, as long as no word has come.

After the first word no model is asked again: the words stay, and the stream fails with its error.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from domain.catalogue import ModelEntry
from domain.errors import StreamForgeError
from domain.events import COOLING, SAID, Retrying, Stalled, Switched
from domain.models import Backoff, Finished
from domain.streams import Ask
from services.accounts.metering import Meter
from services.accounts.prices import Prices
from services.answering.answerer import Run, Source, Telling
from services.answering.cooling import Cooling
from services.answering.watch import Watch
from services.chain_service import Chain

# Worth another try with the same model.
_AGAIN = frozenset(
    {
        "provider_unreachable", "provider_connect_timeout", "provider_rate_limited", "provider_overloaded",
        "provider_error", "provider_incomplete",
    }
)  # fmt: skip
# Worth a try with another model: this one would fail again, or has read the prompt and charged for it.
_ELSEWHERE = _AGAIN | {"provider_timeout", "provider_auth", "provider_model", "provider_not_configured"}
# Counted by `Cooling`, before and after the first word.
_TROUBLE = _ELSEWHERE | {"provider_stalled"}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a model is asked again, and until when, in seconds.

    No attempt begins once `budget` has passed since the first one began, and no later attempt waits for its first word
    beyond it.
    """

    backoff: Backoff
    budget: float


class _Plan:
    """Which model is asked now, and which one next."""

    def __init__(self, candidates: list[ModelEntry], policy: RetryPolicy, chance: Callable[[], float]) -> None:
        self.entry, *self._rest = candidates
        self._policy = policy
        self._chance = chance
        self._clock = asyncio.get_running_loop().time
        self._end = self._clock() + policy.budget
        self._attempt = 1
        self._first = True

    def patience(self) -> float:
        """Seconds that the model has for its first word. The very first attempt has the whole of its clock."""
        seconds = self.entry.clocks.first_token
        if self._first:
            self._first = False
            self._end = self._clock() + self._policy.budget  # importing packages does not count
            return seconds
        return max(0.0, min(seconds, self._end - self._clock()))

    def after(self, failed: StreamForgeError) -> Retrying | Switched | None:
        """The next step after this failure; `None` if there is none left."""
        left = self._end - self._clock()
        if failed.code in _AGAIN and self._attempt <= self._policy.backoff.retries:
            delay = self._policy.backoff.delay(self._attempt, failed.retry_after, self._chance())
            if delay < left:
                self._attempt += 1
                return Retrying(failed.code, self._attempt, round(delay, 3))
        if failed.code not in _ELSEWHERE or not self._rest or left <= 0:
            return None
        previous, self.entry, self._attempt = self.entry, self._rest.pop(0), 1
        return Switched(previous.id, self.entry.id, failed.code)


class Failover:
    """Asks models in turn; `open_answer` opens the answer of one."""

    def __init__(
        self,
        open_answer: Callable[[ModelEntry, Ask], Awaitable[Chain]],
        prices: Prices,
        cooling: Cooling,
        policy: RetryPolicy,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._open = open_answer
        self._prices = prices
        self._cooling = cooling
        self._policy = policy
        self._chance = chance
        self._telling: set[asyncio.Task[None]] = set()

    def answer(self, ask: Ask, run: Run) -> Source:
        return self.generate_llm_stream(ask, run)

    async def generate_llm_stream(self, ask: Ask, run: Run) -> Source:
        """The answer of the first candidate that gives one, with the events on the way to it.

        What happens while a model is silent goes through `run.telling`.
        """
        candidates, meter = run.candidates, run.meter
        warm = [entry for entry in candidates[:-1] if not self._cooling.cold(entry.id)] + candidates[-1:]
        plan = _Plan(warm, self._policy, self._chance)
        if plan.entry is not candidates[0]:
            yield Switched(candidates[0].id, plan.entry.id, COOLING)
        while True:
            entry = plan.entry
            await self._prices.ready(entry)
            meter.begin(entry)
            begun = False
            try:
                chain = await self._open(entry, ask)  # outside the watch: the model's clocks do not run yet
                async with Watch(entry.clocks, plan.patience(), self._teller(run.telling)) as watch, aclosing(chain):
                    async for event in chain:
                        if isinstance(event, SAID):
                            begun = True
                            watch.heard()
                            yield event
                            watch.listen()
                            continue
                        if isinstance(event, Finished):
                            self._cooling.answered(entry.id)
                        yield event
                return
            except StreamForgeError as error:
                failed = error
            step = self._after(failed, plan, meter, begun=begun)
            yield step
            if isinstance(step, Retrying):
                await asyncio.sleep(step.delay)

    def _after(self, failed: StreamForgeError, plan: _Plan, meter: Meter, *, begun: bool) -> Retrying | Switched:
        """The next step after a failure; raises the failure if there is none."""
        if failed.code in _TROUBLE:
            self._cooling.failed(plan.entry.id)
        if begun:
            raise failed
        meter.failed(failed.code)
        step = plan.after(failed)
        if step is None:
            raise failed
        return step

    def _teller(self, telling: Telling) -> Callable[[float], None]:
        """A callback for a timer, which cannot wait: it tells in a task of its own."""

        def start(silence: float) -> None:
            task = asyncio.create_task(telling(Stalled(round(silence, 1))), name="teller")
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

        return start
