"""Followers of a stream that wait for one event, instead of reading all of them."""

import asyncio

from domain.events import SAID, TERMINAL
from stores.streams.tail import Tail


class FirstSign:
    """Waits until a stream has said something or has ended, for at most so many `seconds`."""

    def __init__(self, tail: Tail, seconds: float) -> None:
        self._tail = tail
        self._loop = asyncio.get_running_loop()
        self._sign = self._loop.create_future()
        self._timer = self._loop.call_later(seconds, self._give)

    def wake(self) -> None:
        """Looks at the last event only: for earlier ones this was called, too."""
        if isinstance(self._tail.events[-1], SAID + TERMINAL):
            self._give()

    def cut(self) -> None:
        self._give()

    async def wait(self) -> None:
        """Wait for the first sign, or until the time is over."""
        self._tail.followers.append(self)
        if any(isinstance(event, SAID + TERMINAL) for event in self._tail.events):
            self._give()  # it came before this follower
        try:
            await self._sign
        finally:
            self._timer.cancel()
            self._tail.followers.remove(self)

    def _give(self) -> None:
        if not self._sign.done():
            self._sign.set_result(None)


class _End:
    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self.ended = asyncio.Event()

    def wake(self) -> None:
        if self._tail.ended:
            self.ended.set()

    def cut(self) -> None:
        self.ended.set()


async def ends(tail: Tail, seconds: float | None) -> bool:
    """Wait for the stream's end, for at most so many seconds; false if it has not ended then, or is cut off here."""
    end = _End(tail)
    tail.followers.append(end)
    end.wake()
    try:
        async with asyncio.timeout(seconds):
            await end.ended.wait()
    except TimeoutError:
        pass
    finally:
        tail.followers.remove(end)
    return tail.ended
