"""Counters of requests for the `limits` library: in this process, or in Redis for all processes together.

Importing this module imports the library, so import it on first use.
"""

import time
from collections import OrderedDict
from typing import Any

from limits.aio.storage import MemoryStorage, RedisStorage
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

MAX_COUNTERS = 100_000
"""The most counters of one table in memory; the least recently used are dropped first. A client with more addresses
than this therefore escapes its limit."""
REDIS_SECONDS = 0.25


class LocalCounters(MemoryStorage):
    """Counts requests in sliding windows, each estimated from two fixed ones, in a table of bounded size.

    The library's own storage scans all its keys on every request, and has no bound.
    """

    STORAGE_SCHEME = ["async+local"]  # noqa: RUF012 - as the library declares it

    def __init__(self, most: int = MAX_COUNTERS) -> None:
        super().__init__()
        self._most = most
        self._windows: OrderedDict[str, tuple[int, int, int]] = OrderedDict()  # number, requests, requests before

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        number, current, previous, left = self._look(key, expiry)
        if int(previous * left / expiry + current) + amount > limit:
            return False
        self._windows[key] = (number, current + amount, previous)
        self._windows.move_to_end(key)
        if len(self._windows) > self._most:
            self._windows.popitem(last=False)
        return True

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        _, current, previous, left = self._look(key, expiry)
        return previous, left, current, left + expiry

    def _look(self, key: str, expiry: int) -> tuple[int, int, int, float]:
        """The window's number, its requests, those of the previous window, and the seconds left in it."""
        now = time.time()
        number = int(now // expiry)
        was, current, previous = self._windows.get(key, (number, 0, 0))
        if was == number - 1:
            current, previous = 0, current
        elif was != number:
            current = previous = 0
        return number, current, previous, expiry - now % expiry


def shared_counters(url: str, prefix: str) -> RedisStorage:
    """Counters in Redis. A command takes at most a quarter of a second, and is never sent twice."""
    options: dict[str, Any] = {
        "socket_timeout": REDIS_SECONDS,
        "socket_connect_timeout": REDIS_SECONDS,
        "max_connections": 50,
        "retry": Retry(NoBackoff(), 0),
        "driver_info": None,  # otherwise each connection looks for the package's version on disk
    }
    address = f"async+{url.replace('unix://', 'redis+unix://', 1)}"
    return RedisStorage(address, implementation="redispy", key_prefix=f"{prefix}:rate", **options)
