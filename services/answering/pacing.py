"""Waiting for a moment, shared: thousands of paced streams cost one timer a few milliseconds, not one each."""

import asyncio

SLOT = 0.01
"""Seconds. Moments within one slot are kept together, at its end."""


class Pacer:
    """Timers of one event loop, in slots."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._slots: dict[int, list[asyncio.Future[None]]] = {}

    def now(self) -> float:
        """The loop's clock, in monotonic seconds."""
        return self._loop.time()

    def until(self, moment: float) -> asyncio.Future[None]:
        """A future that is done at `moment`, at most a slot late and never early."""
        future = self._loop.create_future()
        slot = int(moment / SLOT) + 1
        waiting = self._slots.get(slot)
        if waiting is None:
            self._slots[slot] = [future]
            self._loop.call_at(slot * SLOT, self._fire, slot)
        else:
            waiting.append(future)
        return future

    def _fire(self, slot: int) -> None:
        for future in self._slots.pop(slot):
            if not future.done():  # cancelled with its stream
                future.set_result(None)
