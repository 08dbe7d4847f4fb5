"""Measures the silence of one attempt against its model's clocks, with a single timer."""

import asyncio
from asyncio import CancelledError
from collections.abc import Callable
from types import TracebackType
from typing import Self

from domain.catalogue import ModelClocks
from domain.errors import StreamForgeError


class Watch:
    """A context in which a model is listened to.

    `first` is the seconds left for its first word; after that the `idle` clock runs between any two words. `tell` is
    called once in a silence, with its seconds, when it has lasted for the `stalled` clock. A clock that runs out ends
    the context with `provider_timeout` before the first word, and with `provider_stalled` after it.
    """

    __slots__ = (
        "_begun",
        "_clocks",
        "_code",
        "_heard",
        "_listening",
        "_loop",
        "_patience",
        "_scope",
        "_stale",
        "_tell",
        "_timer",
        "_told",
    )

    def __init__(self, clocks: ModelClocks, first: float, tell: Callable[[float], None]) -> None:
        self._clocks = clocks
        self._patience = first
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._scope = asyncio.timeout(None)
        self._heard = self._loop.time()
        self._listening = True
        self._told = False
        self._stale = False  # whether the timer is set for the wrong moment
        self._code: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._begun = False

    def heard(self) -> None:
        """The model has said something. Until `listen`, its word is being handled, and no clock runs against it."""
        if self._code is not None:  # a package has swallowed the cancellation
            raise StreamForgeError(self._code)
        self._listening = False
        if not self._begun:
            self._begun = True
            self._patience = self._clocks.idle
            self._stale = True

    def listen(self) -> None:
        """Wait for the model again."""
        self._listening = True
        self._heard = self._loop.time()
        if self._stale:
            self._told = self._stale = False
            self._arm()

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        self._arm()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        try:
            await self._scope.__aexit__(kind, error, trace)
        except TimeoutError:
            raise StreamForgeError(self._code or "provider_timeout") from None
        if self._code is not None and not isinstance(error, CancelledError | GeneratorExit):
            raise StreamForgeError(self._code) from None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait = self._patience if self._told else min(self._patience, self._clocks.stalled)
        self._timer = self._loop.call_at(self._heard + wait, self._look)

    def _look(self) -> None:
        if not self._listening:
            self._stale = True  # `listen` sets it again
            return
        silence = self._loop.time() - self._heard
        if silence >= self._patience:
            self._code = "provider_stalled" if self._begun else "provider_timeout"
            self._scope.reschedule(self._loop.time())
            return
        if silence >= self._clocks.stalled and not self._told:
            self._told = self._stale = True
            self._tell(silence)
        self._arm()
