"""Shared timers: thousands of paced streams cost one timer every few milliseconds, instead of one each."""

import asyncio

SLOT = 0.01
"""Seconds. Waits that end within one slot all end together at the end of the slot."""


class Pacer:
    """The timers of one event loop, in slots."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._slots: dict[int, list[asyncio.Future[None]]] = {}

    def now(self) -> float:
        """The loop's clock, in seconds."""
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
            if not future.done():  # else it was cancelled with its stream
                future.set_result(None)
