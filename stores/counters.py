"""Counters of requests for the `limits` library: in this process, or in Redis for all processes together.

Importing this imports the library, so it is done on first use.
"""

import time
from collections import OrderedDict
from typing import Any

from limits.aio.storage import MemoryStorage, RedisStorage
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

MAX_COUNTERS = 100_000
"""Counters in memory. The ones that were used longest ago go first: whoever brings so many addresses is not held."""
REDIS_SECONDS = 0.25


class LocalCounters(MemoryStorage):
    """Counts in windows that slide over two fixed ones, in a table that never grows beyond its bound.

    The library's own storage walks all of its keys with every request, and has no bound.
    """

    STORAGE_SCHEME = ["async+local"]  # noqa: RUF012 - as the library has it

    def __init__(self) -> None:
        super().__init__()
        self._windows: OrderedDict[str, tuple[int, int, int]] = OrderedDict()  # window's number, requests, before that

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        number, current, previous, left = self._look(key, expiry)
        if int(previous * left / expiry + current) + amount > limit:
            return False
        self._windows[key] = (number, current + amount, previous)
        self._windows.move_to_end(key)
        if len(self._windows) > MAX_COUNTERS:
            self._windows.popitem(last=False)
        return True

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        _, current, previous, left = self._look(key, expiry)
        return previous, left, current, left + expiry

    def _look(self, key: str, expiry: int) -> tuple[int, int, int, float]:
        """This window's number, its requests, those of the one before, and the seconds that are left of it."""
        now = time.time()
        number = int(now // expiry)
        was, current, previous = self._windows.get(key, (number, 0, 0))
        if was == number - 1:
            current, previous = 0, current
        elif was != number:
            current = previous = 0
        return number, current, previous, expiry - now % expiry


def shared_counters(url: str, prefix: str) -> RedisStorage:
    """Counters in Redis. A command takes a quarter of a second at most, and is never sent twice."""
    options: dict[str, Any] = {
        "socket_timeout": REDIS_SECONDS,
        "socket_connect_timeout": REDIS_SECONDS,
        "max_connections": 50,
        "retry": Retry(NoBackoff(), 0),
        "driver_info": None,  # or each connection looks for the package's version on the disk
    }
    address = f"async+{url.replace('unix://', 'redis+unix://', 1)}"
    return RedisStorage(address, implementation="redispy", key_prefix=f"{prefix}:rate", **options)
