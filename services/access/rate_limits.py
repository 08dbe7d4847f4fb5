"""Limits how often each caller and each address may send requests.

Counted with the `limits` library, in this process or, with REDIS_URL, in Redis for all processes together. While Redis
fails, each process counts alone: a failed limiter must not take the service down.
"""

import asyncio
import ipaddress
import math
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import structlog

SECONDS = 0.5
"""How long Redis may take for all the counting of one request."""
PAUSE = 5.0
"""Seconds without any request to Redis after it has failed."""

log = structlog.get_logger("limits")


class Quota(NamedTuple):
    """The state of a rate: whether the request may pass, how many are allowed, how many are left, when one more is
    free.

    `reset` is in whole seconds from now.
    """

    passes: bool
    limit: int
    remaining: int
    reset: int


class RateLimits:
    """Counts requests. `caller` and `address` are rates like `60/minute;1000/day`; an empty one means no limit.

    Callers and addresses have a table of `counters` each, so that a client with very many addresses pushes out no
    caller. Importing the library takes a while, so construct this in a thread. `clock` returns monotonic seconds.
    """

    def __init__(
        self,
        *,
        caller: str,
        address: str,
        redis_url: str | None = None,
        prefix: str = "",
        counters: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        limits = import_module("limits")
        strategy = import_module("limits.aio.strategies").SlidingWindowCounterRateLimiter
        tables = import_module("stores.counters")
        most = tables.MAX_COUNTERS if counters is None else counters
        self._of_caller: list[Any] = limits.parse_many(caller) if caller else []
        self._of_address: list[Any] = limits.parse_many(address) if address else []
        self._local = {kind: strategy(tables.LocalCounters(most)) for kind in ("caller", "address")}
        self._shared = strategy(tables.shared_counters(redis_url, prefix)) if redis_url else None
        self._clock = clock
        self._shared_again = -math.inf

    async def of_caller(self, owner: str) -> Quota | None:
        """Count a request of this caller; `None` if there is no limit."""
        return await self._count(self._of_caller, "caller", owner)

    async def of_address(self, address: str) -> Quota | None:
        """Count a request from this address. All addresses of an IPv6 /64 count as one: a client that has one has them
        all."""
        return await self._count(self._of_address, "address", network_of(address))

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._shared is not None:
            await self._shared.storage.bridge.get_connection().aclose()

    async def _count(self, rates: list[Any], kind: str, name: str) -> Quota | None:
        if not rates:
            return None
        if self._shared is not None and self._clock() >= self._shared_again:
            try:
                async with asyncio.timeout(SECONDS):
                    return await _hit(self._shared, rates, kind, name)
            except Exception as error:  # whatever it is, the request goes on
                self._shared_again = self._clock() + PAUSE
                log.error("requests are counted by each process alone: Redis fails", exc_info=error)
        return await _hit(self._local[kind], rates, kind, name)


async def _hit(limiter: Any, rates: list[Any], kind: str, name: str) -> Quota:
    """Count in every window; returns the quota that refuses, or else the one with the least left."""
    tightest: Quota | None = None
    for rate in rates:
        passes = await limiter.hit(rate, kind, name)
        stats = await limiter.get_window_stats(rate, kind, name)
        reset = max(math.ceil(stats.reset_time - time.time()), 1)
        quota = Quota(passes, rate.amount, stats.remaining if passes else 0, reset)
        if not passes:
            return quota
        if tightest is None or quota.remaining < tightest.remaining:
            tightest = quota
    assert tightest is not None
    return tightest


def network_of(address: str) -> str:
    """The address, or the /64 that contains it."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:50]  # a Unix socket has none
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)
